//! The command line, made from the table of settings.

use super::row::Row;
use super::table::ROWS;
use clap::builder::{PossibleValue, PossibleValuesParser, ValueParser};
use clap::{Arg, ArgAction, Command};

const ABOUT: &str = "A metrics store for OpenTelemetry: OTLP in, PromQL out, nothing acknowledged is lost";

const LONG_ABOUT: &str = "\
A metrics store for OpenTelemetry: OTLP in, PromQL out, nothing acknowledged is lost.

Without a command it serves: data in ./data, the Prometheus API and a page to plot on http://127.0.0.1:9090, \
OTLP/gRPC on 127.0.0.1:4317, OTLP/HTTP on 127.0.0.1:4318.";

/// Name of the argument that names the settings file; it is no setting, it says where settings are.
pub(super) const CONFIG: &str = "config";

/// The commands and flags of the program. The flags of settings may follow `serve`, or the program's name.
pub(crate) fn command() -> Command {
    let serve = Command::new("serve").about("Take metrics in and answer queries (the default)").args(arguments());
    Command::new("mytsdb")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .long_about(LONG_ABOUT)
        .args_conflicts_with_subcommands(true)
        .max_term_width(110)
        .args(arguments())
        .subcommand(serve)
}

/// The flags of all settings, and the one that names the settings file.
pub(crate) fn arguments() -> impl Iterator<Item = Arg> {
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .env("MYTSDB_CONFIG")
        .value_parser(ValueParser::path_buf())
        .help("YAML file with settings: the same names with underscores, such as `data_dir: /var/lib/mytsdb`");
    std::iter::once(config).chain(ROWS.iter().map(argument))
}

fn argument(row: &'static Row) -> Arg {
    let help = match row.default_told() {
        Some(default) => format!("{} [default: {default}]", row.help()),
        None => row.help().to_owned(),
    };
    // Values are text until all sources of settings are known: then each is checked, wherever it comes from.
    let parser = if row.choices.is_empty() {
        ValueParser::os_string()
    } else {
        let choices = row.choices.iter().map(|choice| PossibleValue::new(choice.name).help(choice.help));
        PossibleValuesParser::new(choices).into()
    };
    let separator = (row.many && !row.choices.is_empty()).then_some(',');
    let argument = Arg::new(row.key)
        .long(row.name())
        .value_name(row.value)
        .help(help)
        .help_heading(row.heading)
        .value_parser(parser)
        .value_delimiter(separator)
        .action(if row.many { ArgAction::Append } else { ArgAction::Set });
    // A switch may be given without a value.
    let argument = if row.value == "BOOL" { argument.num_args(0..=1).default_missing_value("true") } else { argument };
    let argument = match row.formerly {
        "" => argument,
        former => argument.alias(former.replace('_', "-")),
    };
    match row.variable_in_use() {
        Some(variable) => argument.env(variable),
        None => argument,
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
    fn help_names_every_setting_with_its_default_and_its_variable() {
        let help = command().render_long_help().to_string();
        for row in ROWS {
            let expected = row.variable().into_iter().chain([row.flag()]).chain(row.default_told().map(str::to_owned));
            // Help is wrapped, so white space is compared as one blank.
            let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
            expected.for_each(|text| assert!(flat.contains(&text), "{text}"));
        }
    }
}
