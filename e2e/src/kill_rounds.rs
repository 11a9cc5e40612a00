//! Rounds of load, `kill -9`, restart, and a question for every acknowledged point.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::runtime::Runtime;

use crate::journal::{Comparison, Journal, METRIC, write_until_cut_off};
use crate::query::Client;
use crate::random::Random;
use crate::server::Server;

/// Clients that write at the same time.
const CLIENT_COUNT: usize = 4;
/// The server is killed that long after the clients start, in ms.
const KILL_AFTER_MS: (u64, u64) = (300, 3_000);
/// In one of so many rounds the server is killed a second time, while it recovers.
const DOUBLE_KILL_EVERY: u32 = 4;
/// That second kill comes so long after the start, in ms.
const SECOND_KILL_AFTER_MS: (u64, u64) = (1, 100);

/// Runs the rounds.
pub(crate) struct KillRounds<'a> {
    server: &'a mut Server,
    random: &'a mut Random,
    runtime: Runtime,
    /// Of all rounds so far; each is asked for again at the end.
    journals: Vec<(String, Journal)>,
}

/// The sum of all rounds; points unless it says otherwise.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) kills: u32,
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) wrong: u64,
    unacknowledged_stored: u64,
    slowest_start: Duration,
}

impl<'a> KillRounds<'a> {
    pub(crate) fn new(server: &'a mut Server, random: &'a mut Random) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        Ok(Self { server, random, runtime: runtime.context("tokio")?, journals: Vec::new() })
    }

    /// Runs `rounds` of them, then asks for everything once more, and again after a graceful restart.
    pub(crate) fn run(mut self, rounds: u32) -> anyhow::Result<Report> {
        let mut report = Report::default();
        for round in 1..=rounds {
            self.round(round, &mut report).with_context(|| format!("round {round}"))?;
        }
        self.verify_all(&mut report).context("after all rounds")?;
        self.server.terminate().context("graceful stop")?;
        self.server.start().context("start after a graceful stop")?;
        self.verify_all(&mut report).context("after a graceful restart")?;
        Ok(report)
    }

    fn round(&mut self, round: u32, report: &mut Report) -> anyhow::Result<()> {
        let clients: Vec<_> = (0..CLIENT_COUNT)
            .map(|client| {
                let name = format!("{round}-{client}");
                let task = self.runtime.spawn(write_until_cut_off(self.server.otlp_grpc(), name.clone()));
                (name, task)
            })
            .collect();
        let moment = self.random.between(KILL_AFTER_MS.0, KILL_AFTER_MS.1);
        std::thread::sleep(moment);
        let all_writing = clients.iter().all(|(_, task)| !task.is_finished());
        self.server.kill()?;
        let mut kills = 1;
        let mut journals = Vec::new();
        for (name, task) in clients {
            journals.push((name, self.runtime.block_on(task).context("client task")??));
        }
        ensure!(all_writing, "the server turned a client away before it was killed");
        if round.is_multiple_of(DOUBLE_KILL_EVERY) {
            self.server.launch()?;
            std::thread::sleep(self.random.between(SECOND_KILL_AFTER_MS.0, SECOND_KILL_AFTER_MS.1));
            self.server.kill()?;
            kills += 1;
        }
        let start = self.server.start()?;
        let found = verify(&self.server.client(), &journals)?;
        let acknowledged: u64 = journals.iter().map(|(_, journal)| journal.acknowledged()).sum();
        ensure!(acknowledged > 0, "nothing was acknowledged in {moment:?}");
        println!(
            "round {round}: killed after {moment:?}, {kills} times; ready after {start:.1?}; \
             {acknowledged} points acknowledged, {} lost, {} wrong",
            found.lost, found.wrong
        );
        report.kills += kills;
        report.acknowledged += acknowledged;
        report.unacknowledged_stored += found.unacknowledged_stored;
        report.slowest_start = report.slowest_start.max(start);
        report.add(&found);
        self.journals.append(&mut journals);
        Ok(())
    }

    fn verify_all(&self, report: &mut Report) -> anyhow::Result<()> {
        let begin = Instant::now();
        let found = verify(&self.server.client(), &self.journals)?;
        println!(
            "all {} journals asked for again in {:.1?}: {} lost, {} wrong",
            self.journals.len(),
            begin.elapsed(),
            found.lost,
            found.wrong
        );
        report.add(&found);
        Ok(())
    }
}

impl Report {
    fn add(&mut self, found: &Comparison) {
        self.lost += found.lost;
        self.wrong += found.wrong;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "journal: {} kills; {} points acknowledged, {} lost, {} wrong; {} stored without an acknowledgement; \
             slowest start {:.1?}",
            self.kills, self.acknowledged, self.lost, self.wrong, self.unacknowledged_stored, self.slowest_start
        )
    }
}

/// Asks for the raw samples of every journal's series and compares.
fn verify(client: &Client, journals: &[(String, Journal)]) -> anyhow::Result<Comparison> {
    let mut sum = Comparison::default();
    for (name, journal) in journals {
        let Some((first_ms, last_ms)) = journal.time_range() else { continue };
        // The window is open on the left: one more millisecond takes the first sample in.
        let expression = format!(r#"{METRIC}{{client="{name}"}}[{}ms]"#, last_ms - first_ms + 1);
        let found = journal.compare(&client.query(&expression, Some(last_ms))?);
        sum.lost += found.lost;
        sum.wrong += found.wrong;
        sum.unacknowledged_stored += found.unacknowledged_stored;
    }
    Ok(sum)
}
