//! `mytsdb tsdb`: what is stored, in which tier; whether all of it is sound; and out of it as blocks of Prometheus.

mod cold_tier;
mod export;
mod list;
mod preview;
mod progress;
mod table;
mod verify;

use crate::settings::{self, Config};
use anyhow::Result;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// Settings that the commands show in their help; the others are taken too.
const SHOWN: [&str; 6] = ["config", "data_dir", "cold_url", "cold_node", "cold_config_file", "retention"];

/// The command line.
pub(crate) fn command() -> Command {
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print one JSON object");
    Command::new("tsdb")
        .about("Look at what is stored: in a data folder, in the cold tier, or in both")
        .long_about(
            "Look at what is stored: in a data folder, in the cold tier, or in both.\n\n\
             With --cold-url and without --data-dir it is what a node has there, on any machine. `ls` and `verify` change \
             nothing and may run beside a server.",
        )
        .subcommand_required(true)
        .subcommand(with_settings(
            Command::new("ls").about("List tiers and files with their sizes and ages").arg(json()).arg(
                Arg::new("preview-retention")
                    .long("preview-retention")
                    .value_name("RULE")
                    .action(ArgAction::Append)
                    .help("Show what such a --retention-rule would free; may be given more than once"),
            ),
        ))
        .subcommand(with_settings(
            Command::new("verify").about("Read all files and check every checksum; fails if one does not hold").arg(json()),
        ))
        .subcommand(with_settings(export::command().arg(json())))
}

fn with_settings(command: Command) -> Command {
    let settings = settings::arguments().map(|arg| {
        let hidden = !SHOWN.contains(&arg.get_id().as_str());
        arg.hide(hidden)
    });
    command.args(settings)
}

/// Where to look.
struct Places {
    config: Config,
    /// Whether the data folder is one of them.
    local: bool,
    json: bool,
}

impl Places {
    fn of(matches: ArgMatches) -> Result<Self> {
        let is_given = |name: &str| {
            matches!(matches.value_source(name), Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        let (json, local) = (matches.get_flag("json"), is_given("data_dir") || is_given("config"));
        let config = settings::load(matches)?;
        let local = !config.read_only && (local || !has_tier(&config));
        Ok(Self { config, local, json })
    }
}

fn has_tier(config: &Config) -> bool {
    !matches!(&*config.cold_url, "" | "none")
}

/// Runs one of the commands.
pub(crate) fn run(mut matches: ArgMatches) -> Result<()> {
    match matches.remove_subcommand() {
        Some((name, mut of_list)) if name == "ls" => {
            let rules: Vec<String> =
                of_list.remove_many("preview-retention").map(Iterator::collect).unwrap_or_default();
            list::run(&Places::of(of_list)?, &rules)
        }
        Some((name, of_verify)) if name == "verify" => verify::run(&Places::of(of_verify)?),
        Some((_, of_export)) => export::run(of_export),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn a_cold_url_alone_is_about_no_folder() {
        let places = |flags: &[&str]| {
            let line = [&["tsdb", "ls"], flags].concat();
            let (_, of_list) = command().try_get_matches_from(line).unwrap().remove_subcommand().unwrap();
            let places = Places::of(of_list).unwrap();
            (places.local, has_tier(&places.config), places.json)
        };
        assert_eq!(places(&[]), (true, false, false));
        assert_eq!(places(&["--json", "--data-dir", "x"]), (true, false, true));
        assert_eq!(places(&["--cold-url", "memory:///"]), (false, true, false));
        assert_eq!(places(&["--cold-url", "memory:///", "--data-dir", "x"]), (true, true, false));
        assert_eq!(places(&["--cold-url", "memory:///", "--data-dir", "x", "--read-only"]), (false, true, false));
    }
}
