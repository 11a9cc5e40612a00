//! A server on a port of its own, and a client that shows every byte of an answer.

#![expect(clippy::unwrap_used, reason = "whatever fails here fails the test that asked")]

use mytsdb_http_api::{Api, ApiOptions, FamilyMeta, MetadataSource, serve};
use mytsdb_model::Labels;
use mytsdb_promql::LabelStorage;
use mytsdb_promql_testkit::TestStorage;
use mytsdb_telemetry::Registry;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

pub struct Server {
    pub address: SocketAddr,
    pub ready: Arc<AtomicBool>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(storage: Arc<dyn LabelStorage>, options: ApiOptions) -> Self {
        let ready = Arc::new(AtomicBool::new(true));
        let metadata: Vec<Box<dyn MetadataSource>> = vec![Box::new(OneFamily)];
        let api = Api::new(storage, metadata, Registry::new(), Arc::clone(&ready), options).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime
                .block_on(serve(listener, api, async {
                    stopped.await.ok();
                }))
                .unwrap();
        });
        Self { address, ready, stop: Some(stop), thread: Some(thread) }
    }

    /// With three series and the default options.
    pub fn with_samples() -> Self {
        Self::start(samples(), ApiOptions::default())
    }

    pub fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    pub fn send(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let mut stream = self.connect();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        read_answer(&mut stream)
    }

    pub fn get(&self, target: &str) -> Answer {
        self.send("GET", target, "", "")
    }

    pub fn post(&self, target: &str, form: &str) -> Answer {
        self.send("POST", target, "Content-Type: application/x-www-form-urlencoded\r\n", form)
    }

    /// Compares status and body of a GET.
    #[track_caller]
    pub fn check(&self, target: &str, status: u16, body: &str) {
        let answer = self.get(target);
        assert_eq!((answer.status, answer.text().as_str()), (status, body), "GET {target}");
    }

    /// Compares the `data` of a successful GET.
    #[track_caller]
    pub fn check_data(&self, target: &str, data: &str) {
        self.check(target, 200, &format!(r#"{{"status":"success","data":{data}}}"#));
    }

    /// Compares an error answer to a GET.
    #[track_caller]
    pub fn check_error(&self, target: &str, status: u16, kind: &str, error: &str) {
        let error = serde_json::to_string(error).unwrap();
        self.check(target, status, &format!(r#"{{"status":"error","errorType":"{kind}","error":{error}}}"#));
    }

    /// Tells the server to stop and waits until it has.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
            self.thread.take().unwrap().join().unwrap();
        }
    }

    /// Tells the server to stop and does not wait.
    pub fn begin_stop(&mut self) {
        self.stop.take().unwrap().send(()).ok();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// All values of a header, joined by `, `.
    pub fn header(&self, name: &str) -> String {
        let values = self.head.lines().filter_map(|line| line.split_once(": "));
        values.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).collect::<Vec<_>>().join(", ")
    }
}

pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let split = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer { status, head, body: bytes[split + 4..].to_vec() };
    if answer.header("transfer-encoding") == "chunked" {
        answer.body = join_chunks(&answer.body);
    }
    answer
}

/// The body of an answer in chunks, which must have an end.
fn join_chunks(mut chunked: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = chunked.windows(2).position(|w| w == b"\r\n").expect("a chunk has a length");
        let len = usize::from_str_radix(std::str::from_utf8(&chunked[..line]).unwrap(), 16).unwrap();
        let data = &chunked[line + 2..];
        body.extend_from_slice(&data[..len]);
        assert_eq!(&data[len..len + 2], b"\r\n");
        chunked = &data[len + 2..];
        if len == 0 {
            assert!(chunked.is_empty(), "nothing comes after the last chunk");
            return body;
        }
    }
}

/// Ten minutes at 15 s, from time 0: two counters of a job and a gauge whose labels need escaping.
pub fn samples() -> Arc<dyn LabelStorage> {
    let mut storage = TestStorage::new();
    let mut add = |labels: &[(&str, &str)], value: &dyn Fn(i64) -> f64| {
        let labels = Labels::from_pairs(labels.iter().copied());
        (0..=40).for_each(|i| storage.append(&labels, i * 15_000, value(i), 0).unwrap());
    };
    add(&[("__name__", "requests_total"), ("code", "200")], &|i| (i * 30) as f64);
    add(&[("__name__", "requests_total"), ("code", "500")], &|i| (i * 3) as f64);
    add(&[("__name__", "temp"), ("where", "<a> & \"b\"")], &|i| 0.5 + i as f64);
    Arc::new(storage)
}

struct OneFamily;

impl MetadataSource for OneFamily {
    fn get(&self, family: &str) -> Option<FamilyMeta> {
        (family == "temp").then(|| FamilyMeta { kind: "gauge", help: "How <warm>.".into(), unit: "celsius".into() })
    }

    fn all(&self) -> Vec<(String, FamilyMeta)> {
        self.get("temp").map(|meta| ("temp".to_owned(), meta)).into_iter().collect()
    }

    fn remark(&self) -> Option<String> {
        None
    }
}
