//! Remote read: both forms of answers, what decides between them, and requests that are none.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use crate::server::{Answer, Server, read_answer};
use crate::store::store;
use mytsdb_columns::Columns;
use mytsdb_http_api::ApiOptions;
use mytsdb_model::Labels;
use mytsdb_promql::QueryOptions;
use mytsdb_remote_read::{Sampled, Streamed};
use std::io::Write;

fn ask_packed(server: &Server, body: &[u8]) -> Answer {
    let mut stream = server.connect();
    let head = format!(
        "POST /api/v1/read HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAccept-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    read_answer(&mut stream)
}

/// A request for the series of a name from 15 s to 45 s, and for nothing.
fn request(name: &str, accepted: &[u8]) -> Vec<u8> {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8], content].concat();
    let matcher = [field(2, b"__name__"), field(3, name.as_bytes())].concat();
    // 15,000 and 45,000.
    let query = [&[0x08, 0x98, 0x75, 0x10, 0xc8, 0xdf, 0x02][..], &field(3, &matcher)].concat();
    let nothing = field(3, &[field(2, b"__name__"), field(3, b"none")].concat());
    [field(1, &query), field(1, &nothing), field(2, accepted)].concat()
}

fn ask(server: &Server, name: &str, accepted: &[u8]) -> Answer {
    ask_packed(server, &snap::raw::Encoder::new().compress_vec(&request(name, accepted)).unwrap())
}

fn cpu_total() -> (Labels, Columns) {
    let mut columns = Columns::default();
    (1..=3).for_each(|i| columns.push_float(i * 15_000, 1.0));
    (Labels::from_pairs([("__name__", "cpu_total"), ("job", "a")]), columns)
}

#[test]
fn samples_are_one_snappy_block() {
    let server = Server::start(store(), ApiOptions::default());
    let answer = ask(&server, "cpu_total", &[0]);
    assert_eq!((answer.status, answer.header("content-type").as_str()), (200, "application/x-protobuf"));
    assert_eq!(answer.header("content-encoding"), "snappy");
    let (labels, columns) = cpu_total();
    let mut wanted = Sampled::default();
    wanted.series(&labels, &columns);
    wanted.end_query();
    wanted.end_query();
    assert_eq!(snap::raw::Decoder::new().decompress_vec(&answer.body).unwrap(), wanted.finish());
}

#[test]
fn chunks_are_a_stream_of_frames() {
    let server = Server::start(store(), ApiOptions::default());
    let answer = ask(&server, "cpu_total", &[1]);
    assert_eq!(answer.status, 200);
    let content_type = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    assert_eq!(
        (answer.header("content-type").as_str(), answer.header("content-encoding").as_str()),
        (content_type, "")
    );
    let (labels, columns) = cpu_total();
    let mut wanted = Vec::new();
    Streamed::new(0).series(&labels, &columns, &mut wanted).unwrap();
    assert_eq!(answer.body, wanted);
    assert_eq!(ask(&server, "cpu_total", &[1, 0]).body, answer.body, "the first of two is taken");
    assert_eq!(ask(&server, "cpu_total", &[0, 1]).header("content-encoding"), "snappy");
}

#[test]
fn what_is_no_request_or_asks_too_much_is_refused() {
    let server = Server::start(store(), ApiOptions::default());
    let packed = |message: &[u8]| snap::raw::Encoder::new().compress_vec(message).unwrap();
    for (body, part) in [
        (b"".to_vec(), "no snappy block"),
        (b"\xff\xff\xff\xff\x7fxxxx".to_vec(), "no snappy block"),
        (vec![0xff, 0xff, 0xff, 0x7f, 0], "the limit is 16777216"),
        (packed(b"\xff"), "malformed request"),
        (packed(&request("a", &[9])), "accepted response types"),
    ] {
        let answer = ask_packed(&server, &body);
        assert!(answer.status == 400 && answer.text().contains(part), "{part}: {}", answer.text());
    }
    assert_eq!(server.get("/api/v1/read").status, 405);
    let query = QueryOptions { max_samples: 2, ..QueryOptions::default() };
    let small = Server::start(store(), ApiOptions { query, ..ApiOptions::default() });
    let answer = ask(&small, "cpu_total", &[0]);
    assert!(answer.status == 422 && answer.text().contains("--query-max-samples"), "{}", answer.text());
}
