//! How TLS is spoken: certificate, versions, and whose certificates clients may have.

use crate::AccessError;
use crate::file::{ClientAuth, TlsSection, TlsVersion};
use crate::source::Source;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What can be spoken behind TLS, the better first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Reads the certificate, its key and the authorities of clients, and puts them together.
///
/// # Errors
/// What of it is missing, no PEM, or does not belong together.
pub(crate) fn config(path: &Path, section: &TlsSection, source: &mut Source) -> Result<Arc<ServerConfig>, AccessError> {
    let problem = |key: &str, problem: String| AccessError::Value {
        path: path.to_owned(),
        key: format!("tls_server_config.{key}"),
        problem,
    };
    let beside = |file: &Path| path.parent().unwrap_or(Path::new("")).join(file);
    // All files are read before any is judged, so that a change of each is seen.
    let (cert_path, key_path) = (beside(&section.cert_file), beside(&section.key_file));
    let (cert, key) = (source.read(&cert_path), source.read(&key_path));
    let ca_path: Option<PathBuf> = section.client_ca_file.as_deref().map(beside);
    let ca = ca_path.as_deref().map(|path| source.read(path)).transpose();
    let (cert, key, ca) = (cert?, key?, ca?);
    let certificates = certificates(&cert)
        .ok_or_else(|| problem("cert_file", format!("{}: no PEM with a certificate", cert_path.display())))?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| problem("key_file", format!("{}: no PEM with a private key", key_path.display())))?;

    let provider = Arc::new(ring::default_provider());
    let verifier = match (section.client_auth_type, &ca) {
        (ClientAuth::NoClientCert, None) => None,
        (ClientAuth::NoClientCert, Some(_)) => {
            let text =
                "says something only with client_auth_type RequireAndVerifyClientCert or VerifyClientCertIfGiven";
            return Err(problem("client_ca_file", text.to_owned()));
        }
        (_, None) => {
            return Err(problem(
                "client_auth_type",
                "client_ca_file must say who signs clients' certificates".to_owned(),
            ));
        }
        (kind, Some(ca)) => {
            let roots = roots(ca).ok_or_else(|| problem("client_ca_file", "no PEM with certificates".to_owned()))?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
            let verifier =
                if kind == ClientAuth::VerifyClientCertIfGiven { verifier.allow_unauthenticated() } else { verifier };
            Some(verifier.build().map_err(|error| problem("client_ca_file", error.to_string()))?)
        }
    };
    let allowed = section.client_allowed_sans.clone().unwrap_or_default();
    let verifier: Option<Arc<dyn ClientCertVerifier>> = match verifier {
        None if !allowed.is_empty() => {
            let text = "says something only where clients' certificates are verified";
            return Err(problem("client_allowed_sans", text.to_owned()));
        }
        Some(inner) if !allowed.is_empty() => Some(Arc::new(NamedClients { inner, allowed })),
        verifier => verifier,
    };
    let versions = versions(section.min_version, section.max_version);
    if versions.is_empty() {
        return Err(problem("min_version", "newer than max_version".to_owned()));
    }
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| problem("min_version", error.to_string()))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(certificates, key).map_err(|error| {
        problem("cert_file", format!("{} and {}: {error}", cert_path.display(), key_path.display()))
    })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(Arc::new(config))
}

fn versions(min: Option<TlsVersion>, max: Option<TlsVersion>) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = Vec::new();
    if max != Some(TlsVersion::Tls12) {
        versions.push(&rustls::version::TLS13);
    }
    if min != Some(TlsVersion::Tls13) {
        versions.push(&rustls::version::TLS12);
    }
    versions
}

/// All certificates of a file, `None` if there is none or one cannot be read.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!all.is_empty()).then_some(all)
}

fn roots(pem: &[u8]) -> Option<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).ok()?;
    }
    Some(roots)
}

/// Takes certificates of some clients alone: those that have one of the allowed names.
#[derive(Debug)]
struct NamedClients {
    inner: Arc<dyn ClientCertVerifier>,
    /// DNS names, URIs and IP addresses, as they are in certificates.
    allowed: Vec<String>,
}

impl NamedClients {
    fn is_allowed(&self, certificate: &CertificateDer<'_>) -> Result<bool, Error> {
        let certificate = webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let named = |name: &str| self.allowed.iter().any(|allowed| allowed == name);
        let has_address = |allowed: &String| match allowed.parse::<std::net::IpAddr>() {
            Ok(address) => certificate.verify_is_valid_for_subject_name(&ServerName::IpAddress(address.into())).is_ok(),
            Err(_) => false,
        };
        Ok(certificate.valid_dns_names().any(named)
            || certificate.valid_uri_names().any(named)
            || self.allowed.iter().any(has_address))
    }
}

impl ClientCertVerifier for NamedClients {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(certificate, intermediates, now)?;
        if !self.is_allowed(certificate)? {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
