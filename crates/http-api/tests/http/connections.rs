//! Connections that do nothing, or half of something, keep nobody else from being served.

use crate::server::{Server, read_answer};
use crate::store::{scalar, store};
use mytsdb_http_api::ApiOptions;
use mytsdb_listener::ListenerOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

fn server(connections_max: usize) -> Server {
    let listener = ListenerOptions { connections_max, spare_connections_max: 4, ..ListenerOptions::default() };
    Server::start(store(), ApiOptions { listener, ..ApiOptions::default() })
}

#[track_caller]
fn check_healthy(server: &Server) {
    let began = Instant::now();
    assert_eq!(server.get("/-/healthy").status, 200);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn half_open_connections_make_room_for_others() {
    let server = server(8);
    let mut open: Vec<TcpStream> = Vec::new();
    for _ in 0..100 {
        let mut stream = server.connect();
        stream.write_all(b"GET /api/v1/query?query=1 HTTP/1.1\r\nHost:").unwrap();
        open.push(stream);
        check_healthy(&server);
    }
    assert_eq!(server.get("/api/v1/query?query=1&time=0").text(), scalar(0, "1"));
    let mut rest = Vec::new();
    // A connection that was reset is as closed as one that was ended.
    open[0].read_to_end(&mut rest).ok();
    assert!(rest.is_empty(), "the oldest was closed");
    let metrics = server.get("/metrics").text();
    let evicted =
        metrics.lines().find(|l| l.starts_with("mytsdb_connections_ended_total{listener=\"http\",reason=\"evicted\"}"));
    assert!(evicted.and_then(|l| l.rsplit(' ').next()?.parse::<u32>().ok()).unwrap() >= 90, "{evicted:?}");
}

#[test]
fn busy_connections_leave_a_few_places_for_health() {
    let server = server(2);
    let half_a_form = "POST /api/v1/query HTTP/1.1\r\nHost: t\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                       Content-Length: 100\r\n\r\nquery=";
    let mut busy: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
    for stream in &mut busy {
        stream.write_all(half_a_form.as_bytes()).unwrap();
    }
    let began = Instant::now();
    // The two are busy once their heads have been read.
    while server.get("/api/v1/query?query=1&time=0").status != 503 {
        assert!(began.elapsed() < Duration::from_secs(20));
        busy.push(server.connect());
        busy.last_mut().unwrap().write_all(half_a_form.as_bytes()).unwrap();
    }
    check_healthy(&server);
    let refused = server.get("/api/v1/query?query=1&time=0");
    assert_eq!((refused.status, refused.header("retry-after").as_str()), (503, "1"));
    assert_eq!(refused.text(), "all 2 connections are busy (--max-connections), come back later\n");
    drop(busy);
    let began = Instant::now();
    while server.get("/api/v1/query?query=1&time=0").status != 200 {
        assert!(began.elapsed() < Duration::from_secs(20), "places are given back");
    }
}

#[test]
fn half_a_head_is_closed_when_its_time_is_over() {
    let listener = ListenerOptions { head_timeout: Duration::from_millis(50), ..ListenerOptions::default() };
    let server = Server::start(store(), ApiOptions { listener, ..ApiOptions::default() });
    let mut half = server.connect();
    half.write_all(b"GET / HT").unwrap();
    let mut rest = Vec::new();
    half.read_to_end(&mut rest).ok();
    assert!(rest.is_empty(), "{rest:?}");
    let mut whole = server.connect();
    whole.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut whole).status, 200);
}
