//! Requests one after the other, in all pieces, with bodies that look like heads.

use super::*;
use mytsdb_testkit::{Random, seed};

fn passed(input: &[u8], piece_bytes: usize, target_bytes_max: Option<usize>) -> Vec<u8> {
    let mut http1 = Http1::new(target_bytes_max);
    let pieces = input.chunks(piece_bytes);
    pieces.flat_map(|piece| http1.follow(piece).unwrap_or_else(|| piece.to_vec())).collect()
}

#[track_caller]
fn check(input: &str, expected: &str) {
    for piece_bytes in [1, 2, 3, 5, 16, 1 << 20] {
        let passed = passed(input.as_bytes(), piece_bytes, Some(1000));
        assert_eq!(String::from_utf8_lossy(&passed), expected, "in pieces of {piece_bytes}");
    }
}

const BAIT: &str = "GET /\"bait\" HTTP/1.1\r\n\r\n";

#[test]
fn targets_are_escaped_and_nothing_else() {
    check(
        "GET /q?a={\"<>|\\^`}#é&b=%22+1 HTTP/1.1\r\nX: \"<>\"\r\n\r\n",
        "GET /q?a=%7B%22%3C%3E%7C%5C%5E%60%7D%23%C3%A9&b=%22+1 HTTP/1.1\r\nX: \"<>\"\r\n\r\n",
    );
}

#[test]
fn each_request_of_a_connection_is_escaped() {
    let one = "GET /\" HTTP/1.1\r\nHost: a\r\n\r\n";
    let escaped = "GET /%22 HTTP/1.1\r\nHost: a\r\n\r\n";
    check(&format!("{one}{one}\r\n\r\n{one}"), &format!("{escaped}{escaped}\r\n\r\n{escaped}"));
}

#[test]
fn bodies_are_never_changed_and_what_follows_them_is() {
    let len = BAIT.len();
    let escaped = BAIT.replace('"', "%22");
    for head in [
        format!("POST /a HTTP/1.1\r\nContent-Length: {len}\r\n\r\n"),
        format!("POST /a HTTP/1.1\nhost: b\ncontent-length:{len}  \n\n"),
        format!("POST /a HTTP/1.0\r\nContent-Length: 0{len}\r\n\r\n"),
    ] {
        check(&format!("{head}{BAIT}{BAIT}"), &format!("{head}{BAIT}{escaped}"));
    }
    let head = "POST /a HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n";
    let chunks = format!("{len:x};x=1\r\n{BAIT}\r\n{len:X}\r\n{BAIT}\r\n0\r\nA: \"\r\n\r\n");
    check(&format!("{head}{chunks}{BAIT}"), &format!("{head}{chunks}{escaped}"));
}

#[test]
fn what_is_unclear_passes_unchanged_from_there_on() {
    for headers in [
        "Content-Length: 3\r\nContent-Length: 3",
        "Content-Length: 3, 3",
        "Content-Length: +3",
        "Content-Length: 99999999999999999999999",
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding:\r\n chunked",
        "Content-Length: 3\r\n 4",
        "Connection: upgrade\r\nUpgrade: h2c",
    ] {
        let input = format!("POST /a HTTP/1.1\r\n{headers}\r\n\r\n{BAIT}{BAIT}");
        check(&input, &input);
    }
    for input in [
        format!("POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{BAIT}"),
        format!("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n{BAIT}"),
        format!("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{BAIT}"),
        format!("CONNECT a:1 HTTP/1.1\r\n\r\n{BAIT}"),
        format!("GET /a HTTP/3\r\n\r\n{BAIT}"),
        format!("GET /a b HTTP/1.1\r\n\r\n{BAIT}"),
        format!("GET /a\r\n{BAIT}"),
        format!("{}\n{BAIT}", "X".repeat(100)),
    ] {
        check(&input, &input);
    }
}

#[test]
fn a_long_target_is_cut_to_one_byte_too_many() {
    for (target, expected) in [
        ("/234567", "/234567"),
        ("/2345678", "/2345678"),
        ("/23456789", "/23456789"),
        ("/234567890123", "/23456789"),
        ("/234567\"9", "/234567%2"),
        ("/23456789\"\"x", "/23456789"),
    ] {
        let input = format!("GET {target} HTTP/1.1\r\n\r\nGET /\" HTTP/1.1\r\n\r\n");
        for piece_bytes in [1, 4, 1000] {
            let passed = String::from_utf8(passed(input.as_bytes(), piece_bytes, Some(8))).unwrap();
            assert_eq!(passed, format!("GET {expected} HTTP/1.1\r\n\r\nGET /%22 HTTP/1.1\r\n\r\n"), "{target}");
        }
    }
}

#[test]
fn without_a_limit_nothing_is_changed() {
    assert_eq!(passed(BAIT.as_bytes(), 3, None), BAIT.as_bytes());
}

#[test]
fn a_head_is_pending_from_its_first_to_its_last_byte() {
    let mut http1 = Http1::new(Some(1000));
    let head = b"\r\nGET / HTTP/1.1\r\nA: b\r\n\r\n";
    for (i, byte) in head.iter().enumerate() {
        http1.follow(&[*byte]);
        assert_eq!(http1.is_pending(), (2..head.len() - 1).contains(&i), "after byte {i}");
    }
    http1.follow(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
    assert!(!http1.is_pending());
}

/// Bodies of random bytes between requests, in random pieces: the bodies arrive as they were sent.
#[test]
fn random_streams_of_requests_keep_their_bodies() {
    let mut rng = Random::new(seed(7));
    for _ in 0..300 {
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..rng.below(6) {
            let body: Vec<u8> = (0..rng.below(200)).map(|_| b"GET /\"<\r\n HTTP/1.1:0a\xff"[rng.index(22)]).collect();
            let mut rest: Vec<u8> = Vec::new();
            if rng.below(2) == 0 {
                rest.extend(format!("A: \"\r\nContent-Length: {}\r\n\r\n", body.len()).bytes());
                rest.extend(&body);
            } else {
                rest.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(1 + rng.index(50)) {
                    rest.extend(format!("{:x}\r\n", chunk.len()).bytes());
                    rest.extend(chunk);
                    rest.extend(b"\r\n");
                }
                rest.extend(b"0\r\n\r\n");
            }
            sent.extend(b"POST /\"{ HTTP/1.1\r\n".iter().chain(&rest));
            expected.extend(b"POST /%22%7B HTTP/1.1\r\n".iter().chain(&rest));
        }
        let mut http1 = Http1::new(Some(1000));
        let (mut arrived, mut rest) = (Vec::new(), &sent[..]);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at((1 + rng.index(40)).min(rest.len()));
            arrived.extend(http1.follow(piece).unwrap_or_else(|| piece.to_vec()));
            rest = behind;
        }
        assert_eq!(String::from_utf8_lossy(&arrived), String::from_utf8_lossy(&expected));
    }
}
