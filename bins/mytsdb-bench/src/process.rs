//! Servers under test: started on free ports, watched through /proc, ended with their value or with this program.
#![expect(clippy::disallowed_methods, reason = "a load generator reads /proc and removes its folder")]

use anyhow::{Context, Result, ensure};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Ticks a second in /proc/PID/stat.
const TICKS: f64 = 100.0;
/// Bytes of a page in /proc/PID/stat.
const PAGE_BYTES: u64 = 4_096;

/// Processes and folders that must be gone when this program ends.
static STARTED: Mutex<Started> = Mutex::new(Started { children: Vec::new(), folders: Vec::new() });

struct Started {
    children: Vec<Arc<Mutex<Child>>>,
    folders: Vec<PathBuf>,
}

/// From here on SIGINT and SIGTERM end the servers that this program started, remove its folders and end the program.
pub(crate) fn end_all_on_signal() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let code = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            }
        });
        // The lock is held until the end, so that no server is started any more.
        let started = lock(&STARTED);
        started.children.iter().for_each(|child| end(&mut lock(child)));
        started.folders.iter().for_each(|folder| drop(std::fs::remove_dir_all(folder)));
        std::process::exit(code);
    })?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn end(child: &mut Child) {
    // It may have ended by itself, which the run has then noticed.
    drop(child.kill());
    drop(child.wait());
}

/// A running server.
pub(crate) struct Process {
    child: Arc<Mutex<Child>>,
    id: u32,
    program: PathBuf,
    arguments: Vec<String>,
    ready_url: String,
}

impl Process {
    /// Starts a program and waits until `ready_url` answers.
    pub(crate) fn start(program: &Path, arguments: &[String], ready_url: &str) -> Result<Self> {
        let mut started = lock(&STARTED);
        let child = Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let id = child.id();
        let process = Self {
            child: Arc::new(Mutex::new(child)),
            id,
            program: program.to_owned(),
            arguments: arguments.to_vec(),
            ready_url: ready_url.to_owned(),
        };
        started.children.push(Arc::clone(&process.child));
        drop(started);
        let deadline = Instant::now() + Duration::from_mins(1);
        while ureq::get(ready_url).call().is_err() {
            ensure!(Instant::now() < deadline, "{} is not ready after 60 s", program.display());
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(process)
    }

    /// Ends it at once, as `kill -9` does.
    pub(crate) fn kill(&self) {
        end(&mut lock(&self.child));
    }

    /// Starts the same again after [`Process::kill`]; returns it, and how long it took to be ready.
    pub(crate) fn start_again(&self) -> Result<(Self, Duration)> {
        let begun = Instant::now();
        Ok((Self::start(&self.program, &self.arguments, &self.ready_url)?, begun.elapsed()))
    }

    /// The first line that the program prints about its version; of one that was built without a number, with the name of the
    /// folder that it is in.
    pub(crate) fn version(&self) -> Result<String> {
        let output = Command::new(&self.program).arg("--version").output().context("ask for its version")?;
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().next().unwrap_or_default().trim();
        if line.contains(|c: char| c.is_ascii_digit()) {
            return Ok(line.to_owned());
        }
        let folder = self.program.parent().and_then(Path::file_name).unwrap_or_default();
        Ok(folder.to_string_lossy().into_owned())
    }

    /// CPU seconds so far, user and system, and resident bytes now.
    pub(crate) fn usage(&self) -> Result<(f64, u64)> {
        let stat = self.proc("stat")?;
        // The name may hold blanks; what follows its closing parenthesis starts with field 3.
        let fields: Vec<&str> = stat.rsplit(')').next().context("a name")?.split_whitespace().collect();
        let field = |number: usize| -> Result<f64> { Ok(fields.get(number - 3).context("a field")?.parse()?) };
        Ok(((field(14)? + field(15)?) / TICKS, field(24)? as u64 * PAGE_BYTES))
    }

    /// Forgets the highest resident size so far.
    pub(crate) fn reset_peak(&self) -> Result<()> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.id), "5")?)
    }

    /// The highest resident size since [`Process::reset_peak`], in bytes.
    pub(crate) fn peak_bytes(&self) -> Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).context("VmHWM")?;
        Ok(line.split_whitespace().nth(1).context("a number")?.parse::<u64>()? * 1_024)
    }

    fn proc(&self, file: &str) -> Result<String> {
        Ok(std::fs::read_to_string(format!("/proc/{}/{file}", self.id))?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        lock(&STARTED).children.retain(|child| !Arc::ptr_eq(child, &self.child));
        end(&mut lock(&self.child));
    }
}

/// An address on the loopback interface that nobody listens on.
pub(crate) fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// mytsdb beside this program, where cargo puts it.
pub(crate) fn default_server() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("mytsdb")));
    beside.filter(|path| path.exists()).unwrap_or_else(|| PathBuf::from("target/release/mytsdb"))
}

/// The file by which mytsdb keeps room on the disk; it holds no data.
const BALLAST: &str = "ballast";

/// Bytes that all files below a folder take of the disk.
pub(crate) fn folder_bytes(path: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        let entry = entry?;
        if entry.file_name() == BALLAST {
            continue;
        }
        // A file that the server deletes during the walk counts as zero bytes.
        let Ok(metadata) = entry.metadata() else { continue };
        sum += if metadata.is_dir() { folder_bytes(&entry.path()).unwrap_or(0) } else { metadata.blocks() * 512 };
    }
    Ok(sum)
}

/// A folder for data.
pub(crate) struct Folder {
    path: PathBuf,
    /// It is removed with this value.
    ours: bool,
}

impl Folder {
    /// A new folder below the system's folder for temporary files.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("mytsdb-bench-{}-{name}", std::process::id()));
        let mut started = lock(&STARTED);
        std::fs::create_dir_all(&path)?;
        started.folders.push(path.clone());
        Ok(Self { path, ours: true })
    }

    /// A folder that somebody else keeps.
    pub(crate) fn kept(path: &Path) -> Self {
        Self { path: path.to_owned(), ours: false }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ours {
            drop(std::fs::remove_dir_all(&self.path));
            lock(&STARTED).folders.retain(|folder| folder != &self.path);
        }
    }
}

/// Command line of mytsdb for a benchmark: metrics of its own at every so many seconds, or none; no log.
pub(crate) fn mytsdb_arguments(
    data_dir: &Path,
    http: &str,
    grpc: &str,
    durability: &str,
    self_metrics_s: u64,
) -> Vec<String> {
    let self_metrics = if self_metrics_s == 0 { "0".to_owned() } else { format!("{self_metrics_s}s") };
    let data_dir = data_dir.display().to_string();
    let pairs = [
        ("--data-dir", data_dir.as_str()),
        ("--http-listen", http),
        ("--otlp-grpc-listen", grpc),
        ("--otlp-http-listen", "127.0.0.1:0"),
        ("--durability", durability),
        ("--self-metrics-interval", self_metrics.as_str()),
        ("--log", "warn"),
    ];
    let flags = pairs.iter().flat_map(|(flag, value)| [(*flag).to_owned(), (*value).to_owned()]);
    std::iter::once("serve".to_owned()).chain(flags).collect()
}
