//! A running server, and what is asked of it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const ANY: &str = "127.0.0.1:0";

/// A running server; killed if a test gives up on it.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) http: String,
    pub(crate) grpc: String,
    pub(crate) otlp_http: String,
}

impl Server {
    pub(crate) fn start(data_dir: &Path) -> Server {
        Self::start_with(data_dir, &[])
    }

    pub(crate) fn start_with(data_dir: &Path, flags: &[&str]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mytsdb"))
            .args(["serve", "--http-listen", ANY, "--otlp-grpc-listen", ANY, "--otlp-http-listen", ANY, "--data-dir"])
            .arg(data_dir)
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It prints its addresses when it is ready.
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut http, mut grpc, mut otlp_http) = (None, None, None);
        for line in lines {
            let line = line.unwrap();
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["plot", "and", "query", url] => http = Some(url.trim_end_matches('/').to_owned()),
                ["OTLP/gRPC", address] => grpc = Some(address.to_owned()),
                ["OTLP/HTTP", url] => otlp_http = Some(url.to_owned()),
                _ => {}
            }
            if http.is_some() && grpc.is_some() && otlp_http.is_some() {
                break;
            }
        }
        Server { child, http: http.unwrap(), grpc: grpc.unwrap(), otlp_http: otlp_http.unwrap() }
    }

    pub(crate) fn get(&self, path: &str) -> String {
        ureq::get(format!("{}{path}", self.http)).call().unwrap().body_mut().read_to_string().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    pub(crate) fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    /// Kilobytes that the process has in memory.
    #[expect(clippy::disallowed_methods, reason = "the kernel's own figures, not stored data")]
    pub(crate) fn resident_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks until an answer holds `text`; the server's own metrics arrive on its own clock.
pub(crate) fn eventually(server: &Server, path: &str, text: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = server.get(path);
        if answer.contains(text) {
            return answer;
        }
        assert!(Instant::now() < deadline, "{path} never held {text}: {answer}");
        std::thread::yield_now();
    }
}
