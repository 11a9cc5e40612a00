//! The endpoints that change stored data: off by default, and what they take and answer.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use crate::server::{Server, samples};
use mytsdb_http_api::{Admin, Administration, ApiOptions};
use mytsdb_model::{Matcher, TimeRange};
use std::sync::{Arc, Mutex};

const DELETE: &str = "/api/v1/admin/tsdb/delete_series";
const CLEAN: &str = "/api/v1/admin/tsdb/clean_tombstones";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Notes what it is told to do, and fails for a metric called `broken`.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Admin for Notes {
    fn delete_series(&self, selectors: Vec<Vec<Matcher>>, range: TimeRange) -> Result<(), String> {
        let text = |matchers: &Vec<Matcher>| matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(",");
        let text: Vec<String> = selectors.iter().map(text).collect();
        if text.concat().contains("broken") {
            return Err("the disk is gone".to_owned());
        }
        self.0.lock().unwrap().push(format!("{} {range}", text.join(";")));
        Ok(())
    }

    fn clean_tombstones(&self) -> Result<(), String> {
        self.0.lock().unwrap().push("clean".to_owned());
        Ok(())
    }
}

fn enabled() -> (Server, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let admin = Administration::by(notes.clone());
    (Server::start(samples(), ApiOptions { admin, ..ApiOptions::default() }), notes)
}

fn error(text: &str) -> (String, String) {
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(json["status"], "error");
    (json["errorType"].as_str().unwrap().to_owned(), json["error"].as_str().unwrap().to_owned())
}

#[test]
fn they_are_off_unless_somebody_turned_them_on() {
    let server = Server::with_samples();
    for target in [format!("{DELETE}?match[]=up"), DELETE.to_owned(), CLEAN.to_owned()] {
        for method in ["POST", "PUT"] {
            let answer = server.send(method, &target, "", "");
            assert_eq!(answer.status, 500, "{method} {target}");
            assert_eq!(error(&answer.text()), ("unavailable".to_owned(), "admin APIs disabled".to_owned()));
        }
    }
}

#[test]
fn a_deletion_takes_selectors_and_times_from_url_and_form_and_answers_nothing() {
    let (server, notes) = enabled();
    let url = format!("{DELETE}?match[]=up%7Bjob=%22a%22%7D&match[]=down&start=1&end=2.5");
    let sent = [
        server.send("POST", &url, "", ""),
        server.send("PUT", &url, "", ""),
        server.send("POST", DELETE, FORM, "match[]=up&start=1970-01-01T00:00:09Z"),
        server.send("PUT", DELETE, FORM, "match[]=up&end=7"),
        server.send("POST", CLEAN, "", ""),
        server.send("PUT", CLEAN, "", ""),
    ];
    for answer in sent {
        assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    }
    let notes = notes.0.lock().unwrap();
    let matchers = r#"job="a",__name__="up";__name__="down" [1000, 2500]"#;
    let sorted = |text: &str| {
        let mut parts: Vec<char> = text.chars().collect();
        parts.sort_unstable();
        parts
    };
    assert_eq!(sorted(&notes[0]), sorted(matchers), "{}", notes[0]);
    assert_eq!(notes[0], notes[1]);
    assert!(notes[2].starts_with(r#"__name__="up" [9000, "#), "{}", notes[2]);
    assert!(notes[3].ends_with(", 7000]"), "{}", notes[3]);
    assert_eq!(notes[4..], ["clean", "clean"]);
}

#[test]
fn what_is_wrong_is_said_and_nothing_is_done() {
    let (server, notes) = enabled();
    for (query, kind, text) in [
        ("", "bad_data", "no match[] parameter provided"),
        ("match[]=up%7B", "bad_data", "invalid parameter \"match[]\""),
        ("match[]=%7B%7D", "bad_data", "match[]"),
        ("match[]=up&start=soon", "bad_data", "invalid parameter \"start\""),
        ("match[]=up&end=soon", "bad_data", "invalid parameter \"end\""),
        ("match[]=up&start=5&end=4", "bad_data", "invalid parameter \"end\""),
        ("match[]=broken", "internal", "the disk is gone"),
    ] {
        let answer = server.send("POST", &format!("{DELETE}?{query}"), "", "");
        let (found, message) = error(&answer.text());
        assert_eq!(answer.status, if kind == "internal" { 500 } else { 400 }, "{query}");
        assert!(found == kind && message.contains(text), "{query}: {found} {message}");
    }
    for target in [DELETE, CLEAN] {
        for method in ["GET", "DELETE"] {
            assert_eq!(server.send(method, target, "", "").status, 405, "{method} {target}");
        }
    }
    assert!(notes.0.lock().unwrap().is_empty());
}
