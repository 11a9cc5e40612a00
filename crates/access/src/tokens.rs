//! Bearer tokens: known by their SHA-256, compared in constant time.

use crate::scope::Scopes;
use ring::digest::{SHA256, digest};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// All tokens that are good for something.
#[derive(Default)]
pub(crate) struct Tokens(Vec<([u8; 32], Scopes)>);

impl Tokens {
    /// Adds a token by the hexadecimal digits of its SHA-256; `false` if they are not that.
    pub(crate) fn add(&mut self, sha256: &str, scopes: Scopes) -> bool {
        let Some(hash) = from_hex(sha256) else { return false };
        self.0.push((hash, scopes));
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `token` is good for. Takes the same time for every token of one length.
    pub(crate) fn find(&self, token: &[u8]) -> Option<Scopes> {
        let hash = digest(&SHA256, token);
        let (mut found, mut index) = (Choice::from(0), 0_u64);
        for (i, (known, _)) in self.0.iter().enumerate() {
            let same = known[..].ct_eq(hash.as_ref());
            index.conditional_assign(&(i as u64), same);
            found |= same;
        }
        bool::from(found).then(|| self.0[index as usize].1)
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
        *byte = (high? << 4 | low?) as u8;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    #[test]
    fn a_token_is_known_by_its_hash() {
        let mut tokens = Tokens::default();
        // printf abc | sha256sum; printf abd | sha256sum
        assert!(tokens.add("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Scopes::ALL));
        let of_abd = "A52D159F262B2C6DDB724A61840BEFC36EB30C88877A4030B65CBE86298449C9";
        assert!(tokens.add(of_abd, Scopes::of(&[Scope::Read])));
        assert_eq!(tokens.find(b"abc"), Some(Scopes::ALL));
        assert_eq!(tokens.find(b"abd"), Some(Scopes::of(&[Scope::Read])));
        for unknown in [&b""[..], b"ab", b"abcd", b"ABC"] {
            assert_eq!(tokens.find(unknown), None);
        }
    }

    #[test]
    fn what_is_no_hash_is_not_taken() {
        let mut tokens = Tokens::default();
        for text in ["", "abc", &"g".repeat(64), &"a".repeat(63), &"é".repeat(32)] {
            assert!(!tokens.add(text, Scopes::ALL), "{text}");
        }
        assert!(tokens.is_empty());
    }
}
