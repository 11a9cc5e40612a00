//! The table of settings. A new setting is a row here and the place that uses `config.NAME`, nothing else.
//!
//! A row: the help, then `NAME: TYPE = "WORD FOR THE VALUE", DEFAULT, { fields of Row that differ from the usual };`.
//! The flag is `--name`, the environment variable `MYTSDB_NAME`, the key in the file `name`. `cargo xtask docs` writes
//! `docs/settings.md` anew.

use super::row::Default::{Computed, Nothing, Text};
use super::row::settings;
use super::value::{Feature, LogFormat, Millis};
use mytsdb_cold::{Interop, Unreachable};
use mytsdb_engine::Durability;
use mytsdb_otlp::{DeltaMode, TranslationStrategy};
use std::net::SocketAddr;
use std::path::PathBuf;

settings! {
    "Storage" {
        /// Folder for everything that is stored; created if missing
        data_dir: PathBuf = "DIR", Text("./data"), {};

        /// When a write is acknowledged
        durability: Durability = "MODE", Text("fsync"), {};

        /// How long samples are kept, such as 15d or 1y; older ones are refused and deleted
        retention: Millis = "DURATION", Text("15d"), { least: "2h", because: "the span of one block" };

        /// Series of a selector are kept for less, such as '{env="dev"}: 7d'; the shortest of all that apply counts
        retention_rule: Vec<String> = "RULE", Nothing, {};

        /// Series of a selector are kept as buckets when their samples have expired, such as '{env="prod"}: 5m for 180d, 1h for 5y'
        downsample: Vec<String> = "RULE", Nothing, {};

        /// Most bytes of blocks, log and a cold tier on the same disk together; past it the oldest go, within the retention too; 0 for no limit
        retention_bytes: u64 = "BYTES", Text("0"), {};

        /// Free space on the disk below which writes are refused; 0 for none, auto for the lesser of 1 GiB and 5 % of the disk
        disk_floor_bytes: Option<u64> = "BYTES", Text("auto"), {};

        /// Room that is set aside on the disk for flushes and a clean stop when other programs have filled it; 0 for none
        disk_ballast_bytes: u64 = "BYTES", Text("67108864"), {};

        /// Most bytes a second that merging blocks writes; 0 turns merging off
        compaction_bytes_per_second: u64 = "BYTES", Text("33554432"), {};

        /// Most bytes a second that the scrub reads, which looks for damaged blocks; 0 turns it off
        scrub_bytes_per_second: u64 = "BYTES", Text("4194304"), {};

        /// Where old days go as Parquet files: local for a folder in the data folder, file:///FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX; none keeps them in blocks
        cold_url: String = "URL", Text("none"), {};

        /// Serve what a node has at --cold-url, without a data folder and without taking anything in
        read_only: bool = "BOOL", Text("false"), {};

        /// Name of that node, its folder there without node=; auto if it is the only one
        cold_node: String = "NAME", Text("auto"), {};

        /// How old a day must be to go there
        cold_after: Millis = "DURATION", Text("24h"), { least: "4h", because: "the time by which what is not late is in blocks" };

        /// What an answer is over times of files there that cannot be read
        cold_unreachable: Unreachable = "MODE", Text("warn"), {};

        /// Who else reads the files there
        cold_interop: Interop = "READERS", Text("rows"), {};

        /// Most bytes a second that go to that store or come from it; 0 for no limit
        cold_bytes_per_second: u64 = "BYTES", Text("0"), {};

        /// File with settings of that store, KEY=VALUE a line, such as aws_endpoint; variables AWS_, GOOGLE_ and AZURE_ of the environment win over it
        cold_config_file: Option<PathBuf> = "FILE", Nothing, {};

        /// Memory for samples that were read from that store, decoded; 0 for none
        cache_l1_bytes: usize = "BYTES",
            Computed { told: "a twentieth of the memory, at most 268435456", text: crate::memory::cache_l1_text }, {};

        /// Most bytes of files in the data folder with samples that were read from that store; 0 for none
        cache_l2_bytes: u64 = "BYTES", Text("1073741824"), {};

        /// How many refreshes of a dashboard ahead samples of that store are put there; 0 for none
        cache_prefetch_windows: u32 = "COUNT", Text("8"), { most: "1000", because: "which is ample" };

        /// Most bytes a second that are read for that
        cache_prefetch_bytes_per_second: u64 = "BYTES", Text("8388608"), {};

        /// How far ahead of this machine's clock a sample may be
        future_tolerance: Millis = "DURATION", Text("10m"), {};

        /// Most series with recent samples; past it new series are refused, known ones go on
        max_series: usize = "COUNT",
            Computed { told: "one for each 3 KiB of the memory", text: crate::memory::series_text }, { least: "1" };

        /// Most samples that wait for the log; past it senders are told to come back
        max_staged_samples: usize = "COUNT", Text("8000000"), { least: "1" };

        /// Memory for remembering which series satisfy the matchers of earlier queries; 0 for none
        selection_cache_bytes: usize = "BYTES", Text("67108864"), {};

        /// Most metrics whose type, unit and help are kept; further ones have none
        max_metadata_metrics: usize = "COUNT", Text("50000"), {};

        /// Longest help of a metric, in bytes; of a longer one the start is kept
        max_metadata_help_bytes: usize = "BYTES", Text("1024"), { most: "1048576", because: "the room in a record of the log" };

        /// Most exemplars that a series keeps, the newest; 0 for none
        max_exemplars_per_series: usize = "COUNT", Text("100"), {};

        /// Memory for all exemplars, about; past it those go that came first; 0 for none
        max_exemplar_bytes: usize = "BYTES", Text("67108864"), {};
    }

    "Network" {
        /// Address of the page and the Prometheus HTTP API
        http_listen: SocketAddr = "ADDRESS", Text("127.0.0.1:9090"), {};

        /// Address of the OTLP/gRPC receiver
        otlp_grpc_listen: SocketAddr = "ADDRESS", Text("127.0.0.1:4317"), {};

        /// Address of the OTLP/HTTP server
        otlp_http_listen: SocketAddr = "ADDRESS", Text("127.0.0.1:4318"), {};

        /// File with certificates, users and tokens for all listeners, as Prometheus has it; read again when it changes
        web_config_file: Option<PathBuf> = "FILE", Nothing, {};

        /// Most connections of each listener; when one more comes, the one that has been idle for longest makes room
        max_connections: usize = "COUNT", Text("1024"), { least: "1" };

        /// Most requests at a time on one connection of HTTP/2
        max_streams_per_connection: u32 = "COUNT", Text("256"), { least: "1" };

        /// Most bytes of the headers of a request, names and values
        max_header_bytes: u32 = "BYTES", Text("16384"), { least: "256", most: "1048576", because: "which is ample" };

        /// Longest the head of a request, or a TLS handshake, may take to arrive
        connection_head_timeout: Millis = "DURATION", Text("10s"), { least: "1ms" };

        /// Longest a connection may be without a request, or its client not read an answer
        connection_idle_timeout: Millis = "DURATION", Text("5m"), { least: "1ms" };

        /// Clients may delete samples, by `admin/tsdb/delete_series` and `clean_tombstones` of the API
        web_enable_admin_api: bool = "BOOL", Text("false"), {};

        /// Longest URL, in bytes and escaped, at most 65533
        http_max_url_bytes: usize = "BYTES", Text("65533"),
            { least: "1", most: "65533", because: "which is what HTTP parsers take" };

        /// Largest form, in bytes
        http_max_form_bytes: usize = "BYTES", Text("10485760"), { least: "1" };
    }

    "Limits of write requests" {
        /// Largest request of OTLP or remote write, in bytes after decompression
        max_request_bytes: usize = "BYTES", Text("67108864"),
            { least: "1", most: "4294967295", because: "which is what gRPC can frame", formerly: "otlp_max_message_bytes" };

        /// Largest compressed request of OTLP or remote write as it arrives, in bytes
        max_compressed_bytes: usize = "BYTES", Text("33554432"), { least: "1", formerly: "otlp_max_compressed_bytes" };

        /// Most bytes that a byte of a compressed request may become, above the first MiB
        max_compression_ratio: usize = "RATIO", Text("200"), { least: "1", formerly: "otlp_max_compression_ratio" };

        /// Most bytes of write requests that are being worked on; past it senders wait, then come back
        max_in_flight_bytes: usize = "BYTES",
            Computed { told: "a tenth of the memory, at most 268435456", text: crate::memory::in_flight_bytes_text },
            { least: "1", formerly: "otlp_max_in_flight_bytes" };

        /// Longest the body of a write request may take to arrive
        request_body_timeout: Millis = "DURATION", Text("30s"), { least: "1ms" };

        /// Fewest bytes a second, on average, at which the body of a write request may arrive after its first 5 s; 0 for no limit
        min_body_bytes_per_second: u32 = "BYTES", Text("1024"), {};

        /// Most series a second that begin, on average; past it senders are told to come back; 0 for no limit
        max_new_series_per_second: u64 = "COUNT", Text("10000"), {};

        /// Most series that begin at once, which max_new_series_per_second fills up again: those of a fleet that is first pointed here
        max_new_series_burst: u64 = "COUNT", Text("1000000"), { least: "1" };
    }

    "OTLP translation" {
        /// What becomes of metric and attribute names
        otlp_translation_strategy: TranslationStrategy = "STRATEGY", Text("UnderscoreEscapingWithSuffixes"), {};

        /// Resource attribute that becomes a label of its series; may be given more than once
        otlp_promote_resource_attribute: Vec<String> = "ATTRIBUTE", Nothing, {};

        /// All resource attributes become labels, but for those of otlp_ignore_resource_attribute
        otlp_promote_all_resource_attributes: bool = "BOOL", Text("false"), {};

        /// Resource attribute that becomes no label where all others do; may be given more than once
        otlp_ignore_resource_attribute: Vec<String> = "ATTRIBUTE", Nothing, {};

        /// target_info also has service.name, service.namespace and service.instance.id as labels
        otlp_keep_identifying_resource_attributes: bool = "BOOL", Text("false"), {};

        /// Series have the name, version, schema and attributes of their scope as labels
        otlp_promote_scope_metadata: bool = "BOOL", Text("false"), {};

        /// Series have their type and unit as labels, __type__ and __unit__
        otlp_type_and_unit_labels: bool = "BOOL", Text("false"), {};

        /// A label name that would start with one underscore gets key in front
        otlp_label_name_underscore_sanitization: bool = "BOOL", Text("true"), {};

        /// Runs of underscores in label names stay as long as they are
        otlp_label_name_preserve_multiple_underscores: bool = "BOOL", Text("true"), {};

        /// Each resource has a target_info series near its points
        otlp_target_info: bool = "BOOL", Text("true"), {};

        /// Histograms with explicit bounds become native ones with custom buckets, not classic ones
        otlp_convert_histograms_to_nhcb: bool = "BOOL", Text("false"), {};

        /// What becomes of points of delta temporality, each of which counts from the one before
        otlp_delta: DeltaMode = "MODE", Text("accumulate"), {};
    }

    "Limits of a series" {
        /// Most labels of a series, its name included
        max_labels_per_series: usize = "COUNT", Text("64"), { most: "1024", because: "which is what is read of a series" };

        /// Longest label name, in bytes
        max_label_name_bytes: usize = "BYTES", Text("256"), {};

        /// Longest label value, in bytes
        max_label_value_bytes: usize = "BYTES", Text("2048"), {};

        /// Most bytes of all label names and values of a series
        max_labels_bytes: usize = "BYTES", Text("8192"), {};

        /// Most buckets of a histogram point or quantiles of a summary point
        max_buckets_per_point: usize = "COUNT", Text("1024"), {};

        /// Most attributes of an OTLP resource, scope or point, whether they become labels or not
        max_attributes: usize = "COUNT", Text("1024"), {};

        /// Most arrays and maps inside each other in the value of an OTLP attribute
        max_attribute_nesting: usize = "COUNT", Text("64"), { most: "64", because: "which is what JSON is read to" };
    }

    "Queries" {
        /// Longest a query may run
        query_timeout: Millis = "DURATION", Text("2m"), { least: "1ms" };

        /// Most samples a query may hold at once
        query_max_samples: u64 = "COUNT", Text("50000000"), { least: "1" };

        /// Most bytes that all running queries may hold together; past it they are told to come back
        query_max_total_bytes: u64 = "BYTES",
            Computed { told: "a quarter of the memory, at most 4294967296", text: crate::memory::query_bytes_text },
            { least: "1" };

        /// Longest query or selector, in bytes
        query_max_text_bytes: usize = "BYTES", Text("4194304"), { least: "1" };

        /// Longest regular expression in a query, in bytes
        query_max_pattern_bytes: usize = "BYTES", Text("1048576"), { least: "1" };

        /// Most queries that run at the same time; others wait
        query_max_concurrency: usize = "COUNT", Text("20"), { least: "1" };

        /// Memory for steps of range queries that are kept for later ones, as long as they are exact; 0 for none
        result_cache_bytes: usize = "BYTES", Text("67108864"), {};

        /// Part of PromQL that is off by default; may be given more than once or with commas
        enable_feature: Vec<Feature> = "FEATURE", Nothing, {};

        /// How long a selector looks back for a sample
        query_lookback: Millis = "DURATION", Text("5m"), { least: "1ms" };
    }

    "Operation" {
        /// How often the server stores its own metrics; 0 turns it off
        self_metrics_interval: Millis = "DURATION", Text("5s"), {};

        /// What to log: error, warn, info, debug, or a filter such as mytsdb_engine=debug
        log: String = "FILTER", Text("info"), {};

        /// How log lines look
        log_format: LogFormat = "FORMAT", Text("text"), {};
    }
}
