//! The cold tier in a real S3 server, behind a network that answers 500, is slow and cuts off, under a server that is killed in
//! the middle of uploads: nothing may be lost, nothing doubled, and what the manifest says must be there.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::arguments::Arguments;
use crate::fault_proxy::FaultProxy;
use crate::process::{Process, create_dir, free_ports};
use crate::prometheus::now_ms;
use crate::query::{Client, agent};
use crate::random::Random;
use crate::server::Server;

const DAY_MS: i64 = 86_400_000;
const BUCKET: &str = "bucket";
const METRIC: &str = "e2e_cold";

/// Days that there are to demote, for each round.
const DAYS_PER_ROUND: u32 = 4;
const SERIES: usize = 20;
/// Samples of a series and day.
const SAMPLES: i64 = 240;

/// The server is killed so long after it was ready, in ms.
const KILL_AFTER_MS: (u64, u64) = (20, 1_200);
/// In one round of so many all samples are asked for.
const ASK_EVERY: u32 = 3;

const PATIENCE: Duration = Duration::from_mins(1);
/// How long all that is left may take to be demoted in the end.
const SETTLING: Duration = Duration::from_mins(3);

/// Runs so many rounds.
///
/// # Errors
///
/// What is lost, doubled, or not as the manifest says.
pub(crate) fn check(
    arguments: &Arguments,
    workdir: &Path,
    rounds: u32,
    random: &mut Random,
) -> anyhow::Result<Verdict> {
    let dir = workdir.join("objects");
    create_dir(&dir)?;
    let [port] = free_ports()?;
    let mut moto = Command::new(&arguments.moto);
    moto.args(["-m", "moto.server", "--host", "127.0.0.1", "--port"]).arg(port.to_string());
    let mut moto = Process::start("moto", &mut moto, &dir.join("moto.log"))?;
    make_bucket(port, &mut moto)?;
    let proxy = FaultProxy::start(port, random.seed())?;
    let mut world = World::new(arguments, &dir, &proxy)?;
    world.fill(rounds * DAYS_PER_ROUND)?;
    for round in 1..=rounds {
        world.round(round, random).with_context(|| format!("round {round}"))?;
    }
    let days = world.settle().context("after all rounds")?;
    Ok(Verdict { kills: rounds, samples: world.samples, days, faults: proxy.faults() })
}

/// What was seen.
pub(crate) struct Verdict {
    kills: u32,
    samples: u64,
    days: u64,
    faults: u64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, samples, days, faults } = self;
        write!(f, "objects: {kills} kills and {faults} connections with faults while {samples} samples went to S3; ")?;
        write!(f, "{days} days there in the end, 0 lost, 0 doubled, every checksum holds")
    }
}

/// Waits for the S3 server, and makes a bucket in it.
fn make_bucket(port: u16, moto: &mut Process) -> anyhow::Result<()> {
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        moto.require_running()?;
        ensure!(begun.elapsed() < PATIENCE, "moto does not listen after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let made = agent().put(format!("http://127.0.0.1:{port}/{BUCKET}")).send_empty().context("make a bucket")?;
    ensure!(made.status().is_success(), "make a bucket: {}", made.status());
    Ok(())
}

struct World<'a> {
    arguments: &'a Arguments,
    proxy: &'a FaultProxy,
    dir: PathBuf,
    server: Server,
    /// Flags of the data folder and the store.
    places: Vec<String>,
    end_ms: i64,
    days: i64,
    samples: u64,
}

impl<'a> World<'a> {
    fn new(arguments: &'a Arguments, dir: &Path, proxy: &'a FaultProxy) -> anyhow::Result<Self> {
        let config = dir.join("store.conf");
        let settings = format!(
            "aws_endpoint=http://127.0.0.1:{}\naws_allow_http=true\naws_region=us-east-1\naws_access_key_id=e2e\n\
             aws_secret_access_key=e2e-secret\n",
            proxy.port()
        );
        #[expect(clippy::disallowed_methods, reason = "settings of a test run, not data of the store")]
        std::fs::write(&config, settings).context("write store.conf")?;
        let places = [
            "--data-dir".to_owned(),
            dir.join("data").display().to_string(),
            "--cold-url".to_owned(),
            format!("s3://{BUCKET}/prefix"),
            "--cold-config-file".to_owned(),
            config.display().to_string(),
        ];
        let server = Server::new(&arguments.server, dir)?;
        let end_ms = now_ms()?.div_euclid(DAY_MS) * DAY_MS - DAY_MS;
        Ok(Self { arguments, proxy, dir: dir.to_owned(), server, places: places.to_vec(), end_ms, days: 0, samples: 0 })
    }

    /// Flags that every start has, and those of the store if it is wanted.
    fn flags(&self, with_store: bool) -> Vec<OsString> {
        let always = ["--self-metrics-interval", "0", "--retention", "10y", "--cold-unreachable", "error"];
        // A block that is merged while its day is demoted stays for a day: here all are to go.
        let merging = ["--compaction-bytes-per-second", "0"];
        let store = if with_store { &self.places[2..] } else { &[] };
        // Slow enough for kills in the middle of an upload.
        let pace = if with_store { &["--cold-bytes-per-second", "300000"][..] } else { &[] };
        let all =
            always.iter().chain(&merging).copied().chain(store.iter().map(String::as_str)).chain(pace.iter().copied());
        all.map(OsString::from).collect()
    }

    fn start(&mut self, with_store: bool) -> anyhow::Result<()> {
        let flags = self.flags(with_store);
        self.server.set_flags(flags);
        self.server.start().map(drop)
    }

    /// Stores samples of so many days, and puts them into blocks.
    fn fill(&mut self, days: u32) -> anyhow::Result<()> {
        self.days = i64::from(days);
        let mut random = mytsdb_testkit::Random::new(7);
        // How old days are is told by the newest sample.
        let newest = serde_json::json!({"metric": {"__name__": "newest"}, "timestamps": [now_ms()?], "values": [1]});
        let mut text = newest.to_string() + "\n";
        for day in 0..self.days {
            for series in 0..SERIES {
                let from_ms = self.end_ms - (day + 1) * DAY_MS + series as i64;
                let step_ms = DAY_MS / SAMPLES;
                let times: Vec<i64> = (0..SAMPLES).map(|at| from_ms + at * step_ms).collect();
                let values: Vec<f64> = times.iter().map(|_| random.unit()).collect();
                let metric = serde_json::json!({"__name__": METRIC, "series": series.to_string()});
                let line = serde_json::json!({"metric": metric, "timestamps": times, "values": values});
                text += &line.to_string();
                text.push('\n');
                self.samples += times.len() as u64;
            }
        }
        let file = self.dir.join("lines.jsonl");
        #[expect(clippy::disallowed_methods, reason = "input of a test run, not data of the store")]
        std::fs::write(&file, text).context("write lines.jsonl")?;
        // Without a server, so that all of it is there when the first flush begins.
        let mut import = Command::new(&self.arguments.server);
        import.args(["import", "--format", "jsonl", "--quiet", "--retention", "10y"]).args(&self.places[..2]).arg(file);
        let output = import.output().context("start mytsdb")?;
        ensure!(output.status.success(), "mytsdb import: {}", String::from_utf8_lossy(&output.stderr));
        self.start(false)?;
        let begun = Instant::now();
        while self.stored()?.0 < self.samples {
            ensure!(begun.elapsed() < PATIENCE, "not all was flushed after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        self.server.terminate()
    }

    fn round(&mut self, round: u32, random: &mut Random) -> anyhow::Result<()> {
        self.proxy.set_bad(true);
        // A store that does not answer in the beginning holds nobody up.
        let flags = self.flags(true);
        self.server.set_flags(flags);
        self.server.start()?;
        let moment = random.between(KILL_AFTER_MS.0, KILL_AFTER_MS.1);
        std::thread::sleep(moment);
        self.server.kill()?;
        self.proxy.set_bad(false);
        self.tsdb("verify")?;
        let (blocks, cold, days) = self.stored()?;
        println!("objects round {round}: killed after {moment:?}; {blocks} samples in blocks, {cold} in {days} days");
        ensure!(blocks + cold >= self.samples, "{} of {} samples are stored", blocks + cold, self.samples);
        if round.is_multiple_of(ASK_EVERY) {
            self.start(true)?;
            self.ask()?;
            self.server.kill()?;
        }
        Ok(())
    }

    /// Demotes what is left, asks for everything, on another machine too; gives the days in the store.
    fn settle(&mut self) -> anyhow::Result<u64> {
        self.start(true)?;
        let begun = Instant::now();
        loop {
            let text = self.server.client().text("/metrics")?;
            if text.contains(&format!("\nmytsdb_cold_samples {}\n", self.samples)) {
                break;
            }
            ensure!(begun.elapsed() < SETTLING, "not all was demoted after {SETTLING:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.ask()?;
        self.server.terminate()?;
        self.tsdb("verify")?;
        let (blocks, cold, days) = self.stored()?;
        ensure!((blocks, cold) == (0, self.samples), "{blocks} samples in blocks and {cold} of {} in S3", self.samples);
        ensure!(days == self.days as u64, "{days} days in S3 of {}", self.days);
        Ok(days)
    }

    /// Asks for all samples: each is there once.
    fn ask(&self) -> anyhow::Result<()> {
        let client: Client = self.server.client();
        let count = format!("sum(count_over_time({METRIC}[{}d]))", self.days);
        let found = client.query(&count, Some(self.end_ms - 1))?;
        let found = found.first().and_then(|series| series.samples.first()).map_or(0.0, |(_, value)| *value);
        ensure!(found == self.samples as f64, "{found} samples are answered of {}", self.samples);
        Ok(())
    }

    /// Samples in blocks, samples in S3, and days there.
    fn stored(&self) -> anyhow::Result<(u64, u64, u64)> {
        let listing = self.tsdb("ls")?;
        let tiers = listing["tiers"].as_array().context("no tiers")?;
        let of = |name: &str| tiers.iter().find(|tier| tier["tier"] == name);
        let samples = |name: &str| of(name).and_then(|tier| tier["samples"].as_u64()).unwrap_or(0);
        let days = of("cold").and_then(|tier| tier["files"].as_array()).map_or(0, Vec::len);
        Ok((samples("blocks"), samples("cold"), days as u64))
    }

    /// Runs one of the program's own commands.
    fn tsdb(&self, command: &str) -> anyhow::Result<Value> {
        let mut run = Command::new(&self.arguments.server);
        run.args(["tsdb", command, "--json"]).args(&self.places);
        let output = run.output().context("start mytsdb")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "mytsdb tsdb {command}: {}: {errors}{text}", output.status);
        serde_json::from_str(&text).with_context(|| format!("mytsdb tsdb {command}: {text}"))
    }
}
