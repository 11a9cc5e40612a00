//! Waits until a server has written and merged its blocks, and says how large they are.

use super::connection::{Way, send_again};
use crate::target::Target;
use crate::template::{Template, marked_point, request};
use anyhow::Result;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, metric::Data};
use std::time::{Duration, Instant};

/// Time between two looks at the files.
const LOOK: Duration = Duration::from_secs(1);

/// What is on the disk when nothing is written or merged any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settled {
    /// Bytes of blocks, with their indexes, without logs.
    pub(crate) block_bytes: u64,
    /// Bytes of everything.
    pub(crate) disk_bytes: u64,
    pub(crate) took: Duration,
    /// Files still changed when there was no more time.
    pub(crate) busy: bool,
}

/// How long files must stay as they are: longer than the server sleeps between two looks for something to merge.
fn quiet(target: &Target) -> Duration {
    Duration::from_secs(match target.name {
        "prometheus" => 70,
        "victoria" => 10,
        _ => 20,
    })
}

/// Sends a sample of `now_ms`, behind which all others are old, and waits, `most` at the longest.
pub(crate) fn wait(target: &Target, way: &Way, now_ms: i64, most: Duration) -> Result<Settled> {
    let begun = Instant::now();
    let point = marked_point(Vec::new());
    let marker = Template::new(&request("bench_marker", Data::Gauge(Gauge { data_points: vec![point] })), 1, 1);
    send_again(way, &marker.fill(now_ms, std::iter::once(1f64.to_bits())).into())?;
    target.merge_now()?;
    let (mut last, mut since) = (target.block_bytes()?, Instant::now());
    let busy = loop {
        if since.elapsed() >= quiet(target) {
            break false;
        }
        if begun.elapsed() >= most {
            break true;
        }
        std::thread::sleep(LOOK);
        let now = target.block_bytes()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    };
    Ok(Settled { block_bytes: last, disk_bytes: target.disk_bytes()?, took: begun.elapsed(), busy })
}
