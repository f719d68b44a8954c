//! A server in a process of its own: this program, started again as one.

use crate::http::{Call, Reply};
use crate::world::{limits, metrics_tokens, wait, world};
use cml_file::Artifact;
use cml_serve::{Config, Model, Service, Tokens};
use cml_tfhe::Circuit;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const VARIABLE: &str = "CML_SERVE_TEST_FOLDER";

/// Does nothing but in a process that [`Process::start`] started.
#[test]
fn server() {
    if let Some(folder) = std::env::var_os(VARIABLE) {
        serve(&PathBuf::from(folder));
    }
}

fn serve(folder: &Path) {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(log)
        .init();
    let tokens = folder.join("tokens");
    let config = Config {
        models: vec![
            Model::with_estimate(Circuit::read(&folder.join("net.cmlc"), ()).unwrap(), 0.01).unwrap(),
        ],
        data: folder.join("data"),
        tokens: if tokens.exists() {
            Tokens::read(&tokens).unwrap()
        } else {
            Tokens::none()
        },
        metrics_tokens: metrics_tokens(),
        limits: limits(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let service = Service::open(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::fs::write(folder.join("address.new"), address).unwrap();
        std::fs::rename(folder.join("address.new"), folder.join("address")).unwrap();
        let over = async {
            let _ = terminate.recv().await;
        };
        service.serve(listener, None, over).await.unwrap();
    });
}

/// This program.
fn program() -> PathBuf {
    std::env::current_exe().unwrap()
}

/// A server process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts one on a folder, with its log in `log` and its keys in `data`.
    pub(crate) fn start(folder: &Path) -> Self {
        Self::spawn(folder, Command::new(program()))
    }

    /// As [`Process::start`], with a disk of so many bytes as `data`, which only the process sees, and which
    /// ends with it. See [`Process::inside`].
    pub(crate) fn on_disk_of(bytes: u64, folder: &Path) -> Self {
        let data = folder.join("data");
        std::fs::create_dir(&data).unwrap();
        let mut command = Command::new("unshare");
        let mount = r#"mount -t tmpfs -o size="$0" tmpfs "$1" && shift && exec "$@""#;
        command.args([
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            mount,
            &bytes.to_string(),
        ]);
        command.args([data.as_os_str(), program().as_os_str()]);
        Self::spawn(folder, command)
    }

    /// Whether this machine lets tests make disks.
    pub(crate) fn can_have_disks() -> bool {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("unshare")
            .args(["--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs"])
            .arg(folder.path())
            .output();
        made.is_ok_and(|made| made.status.success())
    }

    /// A path of the process as others see it.
    pub(crate) fn inside(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id()));
        root.join(path.strip_prefix("/").unwrap())
    }

    /// Starts one by a command that takes the program's arguments.
    fn spawn(folder: &Path, mut command: Command) -> Self {
        world().circuit.write(&folder.join("net.cmlc")).unwrap();
        let file = folder.join("address");
        let _ = std::fs::remove_file(&file);
        let mut child = command
            .args(["process::server", "--exact", "--nocapture"])
            .env(VARIABLE, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                break text.parse().unwrap();
            }
            assert!(child.try_wait().unwrap().is_none(), "the server did not start");
            std::thread::sleep(Duration::from_millis(10));
        };
        Self { child, address }
    }

    pub(crate) fn send(&self, call: &Call) -> Reply {
        call.send(self.address).unwrap()
    }

    /// Asks for a job until it has ended.
    pub(crate) fn wait(&self, accepted: &Reply) -> Reply {
        wait(self.address, accepted)
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits; whether it ended well.
    pub(crate) fn terminate(mut self) -> bool {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
