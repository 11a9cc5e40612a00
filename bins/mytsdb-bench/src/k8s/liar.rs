//! Planted bugs: a proxy between this program and a server that lies, to show that the checks see it.

use super::wire::Protocol;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// What the proxy lies about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Lie {
    /// Answers to instant queries are those of one sample before
    Answers,
    /// Writes are acknowledged at once and stored a quarter of a second later
    Acks,
}

/// How long an acknowledged write waits.
const DELAY: Duration = Duration::from_millis(250);
/// Longest body that goes through.
const BODY_BYTES_MAX: usize = 1 << 30;

/// Starts the proxy, which ends with this program, and returns its address. `step_s` is the time between two samples.
pub(crate) fn start(upstream: &str, lie: Lie, protocol: Protocol, step_s: i64) -> Result<String> {
    ensure!(lie != Lie::Acks || protocol != Protocol::OtlpGrpc, "--plant acks is for protocols over HTTP");
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (address, upstream) = (listener.local_addr()?.to_string(), upstream.to_owned());
    std::thread::Builder::new().name("liar".to_owned()).spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let upstream = upstream.clone();
            // A connection that breaks is noticed at its other end.
            std::thread::spawn(move || drop(serve(&stream, &upstream, lie, step_s)));
        }
    })?;
    Ok(address)
}

/// The parts of a request that matter.
struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

fn serve(stream: &TcpStream, upstream: &str, lie: Lie, step_s: i64) -> Result<()> {
    stream.set_nodelay(true)?;
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut reader = BufReader::new(stream);
    while let Some(mut asked) = read(&mut reader)? {
        if lie == Lie::Acks && asked.method == "POST" {
            let (agent, upstream) = (agent.clone(), upstream.to_owned());
            std::thread::spawn(move || {
                std::thread::sleep(DELAY);
                // The server may be gone by then. That is the planted bug.
                drop(forward(&agent, &upstream, &asked));
            });
            answer(stream, 200, &[])?;
            continue;
        }
        let at = (lie == Lie::Answers && asked.path.starts_with("/api/v1/query?")).then(|| time(&asked.path)).flatten();
        if let Some(at_s) = at {
            asked.path = asked.path.replace(&format!("time={at_s}"), &format!("time={}", at_s - step_s));
        }
        let (status, mut body) = forward(&agent, upstream, &asked)?;
        if let Some(at_s) = at {
            body = String::from_utf8(body)?.replace(&format!("[{},", at_s - step_s), &format!("[{at_s},")).into_bytes();
        }
        answer(stream, status, &body)?;
    }
    Ok(())
}

/// The time that a query asks for.
fn time(path: &str) -> Option<i64> {
    path.split(['?', '&']).find_map(|part| part.strip_prefix("time=")?.parse().ok())
}

/// A request, or nothing at the end of the connection.
fn read(reader: &mut impl BufRead) -> Result<Option<Asked>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().context("a method")?, words.next().context("a path")?);
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
        if name == "content-length" {
            length = value.parse()?;
        } else if name != "host" && name != "connection" {
            headers.push((name, value));
        }
    }
    ensure!(length <= BODY_BYTES_MAX, "a body of {length} bytes");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Asked { method, path, headers, body }))
}

fn forward(agent: &ureq::Agent, upstream: &str, asked: &Asked) -> Result<(u16, Vec<u8>)> {
    let mut request =
        http::Request::builder().method(asked.method.as_str()).uri(format!("http://{upstream}{}", asked.path));
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let mut response = if asked.method == "POST" {
        agent.run(request.body(&asked.body[..])?)?
    } else {
        agent.run(request.body(())?)?
    };
    let mut body = Vec::new();
    response.body_mut().with_config().limit(BODY_BYTES_MAX as u64).reader().read_to_end(&mut body)?;
    Ok((response.status().as_u16(), body))
}

fn answer(mut stream: &TcpStream, status: u16, body: &[u8]) -> Result<()> {
    let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n", body.len());
    Ok(stream.write_all(&[head.as_bytes(), body].concat())?)
}
