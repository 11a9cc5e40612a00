//! Settings put together and checked, and the texts in which the API shows them.

use super::sources::Sources;
use super::table::Config;
use crate::downsampling;
use crate::retention::Rule;
use anyhow::{Result, bail};
use clap::ArgMatches;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Puts the settings together and checks each.
///
/// # Errors
///
/// What is wrong with the file, with a value, or with two values together; it names the flag.
pub(crate) fn load(mut matches: ArgMatches) -> Result<Config> {
    let matches = match matches.remove_subcommand() {
        Some((_, of_serve)) => of_serve,
        None => matches,
    };
    let config = Config::read(&Sources::open(matches)?)?;
    let listeners = [
        ("--http-listen", config.http_listen),
        ("--otlp-grpc-listen", config.otlp_grpc_listen),
        ("--otlp-http-listen", config.otlp_http_listen),
    ];
    for (i, (flag, address)) in listeners.iter().enumerate() {
        let same = |other: &&(&str, SocketAddr)| other.1 == *address && address.port() != 0;
        if let Some((other, _)) = listeners[i + 1..].iter().find(same) {
            bail!("{flag} and {other} are both {address}");
        }
    }
    Rule::parse_all(&config.retention_rule)?;
    downsampling::rules(&config)?;
    if config.read_only && matches!(&*config.cold_url, "" | "none") {
        bail!("--read-only serves what is at --cold-url, and there is none");
    }
    Ok(config)
}

impl Config {
    /// The settings as `status/flags` shows them: name of the flag, and value.
    pub(crate) fn flags(&self) -> BTreeMap<String, String> {
        self.shown().into_iter().map(|(row, texts)| (row.name(), texts.join(","))).collect()
    }

    /// The settings as `status/config` shows them: a settings file that would give the same.
    pub(crate) fn yaml(&self) -> String {
        let lines = self.shown().into_iter().map(|(row, texts)| {
            let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
            let value = if row.many { format!("[{}]", quoted.join(", ")) } else { quoted.concat() };
            format!("{}: {value}\n", row.key)
        });
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::command;
    use crate::settings::table::ROWS;
    use mytsdb_engine::Durability;

    #[expect(clippy::disallowed_methods, reason = "a settings file for the test")]
    fn with_file(text: &str, flags: &[&str]) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mytsdb.yaml");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap();
        load(command().try_get_matches_from([&["mytsdb", "--config", path], flags].concat()).unwrap())
    }

    fn error(text: &str, flags: &[&str]) -> String {
        format!("{:#}", with_file(text, flags).unwrap_err())
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_the_file_over_the_default() {
        let text = "retention: 4d\ndurability: interval\nmax_series: 7\n";
        let config = with_file(text, &["--retention", "3d"]).unwrap();
        assert_eq!(config.retention.ms(), 3 * 86_400_000);
        assert_eq!(config.durability, Durability::Interval);
        assert_eq!(config.max_series, 7);
        assert_eq!(config.http_listen.port(), 9090);
    }

    #[test]
    fn a_wrong_setting_is_named_with_its_value_and_the_bound() {
        assert!(error("retension: 4d\n", &[]).contains("retension"));
        assert!(error("retention: soon\n", &[]).contains("--retention"));
        let short = error("", &["--retention", "1h"]);
        assert!(short.starts_with("--retention 1h: must be at least 2h, the span of one block"), "{short}");
        let none = error("max_series: 0\n", &[]);
        assert!(none.contains("max_series: 0 (--max-series): must be at least 1"), "{none}");
        let large = error("", &["--max-request-bytes", "4294967296"]);
        assert!(large.contains("--max-request-bytes 4294967296: must be at most 4294967295"), "{large}");
        assert!(error("durability: sometimes\n", &[]).contains("expected one of fsync, interval"));
        assert!(error("http_listen: 127.0.0.1:4317\n", &[]).contains("both 127.0.0.1:4317"));
        let rule = "downsample: ['up: 1h for 20d']\n";
        assert!(error(rule, &[]).contains("set --cold-url"));
        let url = ["--cold-url", "file:///cold", "--retention", "20d"];
        assert!(error(rule, &url).contains("for no longer than --retention"));
        assert!(with_file(rule, &url[..2]).is_ok());
        let missing = command().try_get_matches_from(["mytsdb", "--config", "/nonexistent/file.yaml"]).unwrap();
        assert!(format!("{:#}", load(missing).unwrap_err()).contains("/nonexistent/file.yaml"));
    }

    #[test]
    fn what_the_api_shows_is_a_settings_file_that_gives_the_same() {
        let flags = ["--otlp-promote-resource-attribute", "a", "--otlp-promote-resource-attribute", "b\"c"];
        let config = with_file("retention: 4d\nlog_format: json\n", &flags).unwrap();
        let again = with_file(&config.yaml(), &[]).unwrap();
        assert_eq!(config.flags(), again.flags());
        assert_eq!(config.flags()["otlp-promote-resource-attribute"], "a,b\"c");
        assert_eq!(config.flags().len(), ROWS.len());
    }

    #[test]
    fn an_earlier_name_is_still_taken_and_the_new_one_is_shown() {
        let by_flag = with_file("", &["--otlp-max-message-bytes", "7"]).unwrap();
        let by_file = with_file("otlp_max_message_bytes: 7\n", &[]).unwrap();
        for config in [by_flag, by_file] {
            assert_eq!(config.flags()["max-request-bytes"], "7");
            assert!(!config.flags().contains_key("otlp-max-message-bytes"));
        }
        assert!(error("otlp_max_message_bytes: 7\nmax_request_bytes: 7\n", &[]).contains("duplicate key"));
    }

    #[test]
    fn features_are_given_by_name_several_at_once_or_one_by_one() {
        use crate::settings::Feature::{DelayedNameRemoval, UnquotedNames, UseStartTimestamps};
        let flags = ["--enable-feature=use-start-timestamps,promql-unquoted-utf8-names", "--enable-feature"];
        let config = with_file("", &[&flags[..], &["promql-delayed-name-removal"]].concat()).unwrap();
        assert_eq!(config.enable_feature, [UseStartTimestamps, UnquotedNames, DelayedNameRemoval]);
        let again = with_file(&config.yaml(), &[]).unwrap();
        assert_eq!(again.enable_feature, config.enable_feature);
        assert_eq!(with_file("", &[]).unwrap().enable_feature, []);
        assert!(error("enable_feature: [use-start]\n", &[]).contains("expected one of use-start-timestamps, promql-"));
        assert!(command().try_get_matches_from(["mytsdb", "--enable-feature", "x"]).is_err());
    }

    #[test]
    fn bounds_and_defaults_are_those_of_the_crates_they_are_for() {
        let config = with_file("", &[]).unwrap();
        assert_eq!(config.http_max_url_bytes, mytsdb_http_api::ApiOptions::URL_BYTES_MAX);
        let past = (mytsdb_http_api::ApiOptions::URL_BYTES_MAX + 1).to_string();
        assert!(error("", &["--http-max-url-bytes", &past]).contains("--http-max-url-bytes"));
    }

    #[test]
    fn a_switch_needs_no_value() {
        let flags = ["mytsdb", "serve", "--read-only", "--cold-url", "memory:///"];
        assert!(load(command().try_get_matches_from(flags).unwrap()).unwrap().read_only);
        let flags = ["mytsdb", "--otlp-target-info", "false", "--web-enable-admin-api"];
        let config = load(command().try_get_matches_from(flags).unwrap()).unwrap();
        assert!(!config.otlp_target_info && config.web_enable_admin_api && !config.read_only);
        assert!(error("", &["--read-only"]).contains("--cold-url"));
    }

    #[test]
    fn flags_may_stand_behind_the_command_too() {
        let matches = command().try_get_matches_from(["mytsdb", "serve", "--max-series", "9"]).unwrap();
        assert_eq!(load(matches).unwrap().max_series, 9);
    }
}
