//! Jobs that were answered with 202 outlive the process.

use crate::http::{Call, Reply, connect};
use crate::process::Process;
use crate::world::{Party, Running, clear, config, limits, world};
use cml_file::Artifact;
use cml_scheme::artifact::EncryptedInputs;
use cml_serve::{Config, Limits, Model, Service, Tokens};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Samples that take much longer than it takes to kill a process.
const LONG: [u8; 100] = [3; 100];

fn later(party: &Party, samples: &[u8]) -> Call {
    party.infer(samples).with("prefer", "respond-async")
}

/// Files of jobs, of one kind.
fn files(folder: &Path, kind: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("data").join("jobs")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == kind))
        .collect()
}

/// Waits until there are so many files of a kind.
fn until(folder: &Path, kind: &str, count: usize) {
    let end = Instant::now() + Duration::from_secs(60);
    while files(folder, kind).len() != count {
        assert!(Instant::now() < end, "{:?}, needs {count}", files(folder, kind));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The data folder of a process that was killed while it ran a job of the first party.
fn killed() -> (TempDir, Reply) {
    let (folder, party) = (tempfile::tempdir().unwrap(), &world().parties[0]);
    let server = Process::start(folder.path());
    assert_eq!(server.send(&party.put()).status, 201);
    let job = server.send(&later(party, &LONG));
    assert_eq!(job.status, 202);
    server.kill();
    assert_eq!(files(folder.path(), "in").len(), 1);
    (folder, job)
}

/// A server of this process on such a folder.
fn restarted(folder: TempDir, change: impl FnOnce(&mut Config)) -> Running {
    let mut config = config(&folder.path().join("data"), limits());
    change(&mut config);
    Running::on(folder, config, None)
}

#[test]
fn killed_while_they_run_and_wait() {
    let [a, b, _] = &world().parties;
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    assert_eq!(server.send(&a.put()).status, 201);
    assert_eq!(server.send(&b.put()).status, 201);
    let call = later(b, &[0, 1, 2, 3]);
    let jobs = [server.send(&later(a, &LONG)), server.send(&call)];
    server.kill();
    // Again, as soon as it is there.
    Process::start(folder.path()).kill();

    let server = Process::start(folder.path());
    assert_eq!(a.decrypt(&server.wait(&jobs[0])), clear(&LONG));
    // Another process may transform in another order: the bits of ciphertexts may differ, results do not.
    let inputs = EncryptedInputs::from_bytes("in.ct", &call.body, &world().circuit).unwrap();
    let local = b.server.run(&inputs, &mut |_| {}).unwrap();
    let local = b.client.decrypt(&local).unwrap();
    let local: Vec<i64> = local.iter().map(|result| result[0].data()[0]).collect();
    assert_eq!(b.decrypt(&server.wait(&jobs[1])), local);
    assert!(server.terminate());
}

#[test]
fn killed_at_any_moment() {
    let party = &world().parties[0];
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    assert_eq!(server.send(&party.put()).status, 201);
    assert!(server.terminate());
    let accepted = Mutex::new(Vec::new());
    for milliseconds in [5, 30, 80, 150] {
        let server = Process::start(folder.path());
        let address = server.address;
        std::thread::scope(|scope| {
            for number in 0..4 {
                let accepted = &accepted;
                scope.spawn(move || {
                    let samples = vec![number; usize::from(number) + 1];
                    // Until nobody answers.
                    while let Ok(reply) = later(party, &samples).send(address) {
                        match reply.status {
                            202 => accepted.lock().unwrap().push((reply, samples.clone())),
                            _ => reply.refused(429, "caller_limit", "jobs, limit"),
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(milliseconds));
            server.kill();
        });
    }
    let server = Process::start(folder.path());
    let accepted = accepted.into_inner().unwrap();
    assert!(!accepted.is_empty());
    for (job, samples) in &accepted {
        assert_eq!(party.decrypt(&server.wait(job)), clear(samples));
    }
    until(folder.path(), "in", 0);
    assert!(server.terminate());
}

#[test]
fn killed_when_they_have_ended() {
    let party = &world().parties[0];
    let folder = tempfile::tempdir().unwrap();
    let server = Process::start(folder.path());
    assert_eq!(server.send(&party.put()).status, 201);
    let job = server.send(&later(party, &[2, 3]));
    until(folder.path(), "out", 1);
    until(folder.path(), "in", 0);
    server.kill();

    let server = Process::start(folder.path());
    let ask = Call::get(job.header("location").unwrap());
    assert_eq!(party.decrypt(&server.send(&ask)), clear(&[2, 3]));
    // An end in peace keeps answers too.
    assert!(server.terminate());
    let server = Process::start(folder.path());
    assert_eq!(party.decrypt(&server.send(&ask)), clear(&[2, 3]));
    server.kill();

    let data = folder.path().to_owned();
    let server = restarted(folder, |config| config.limits.answer_time = Duration::ZERO);
    server.send(&ask).refused(410, "expired", "");
    until(&data, "out", 0);
}

#[test]
fn a_service_that_ended_gives_its_folder_back() {
    let party = &world().parties[0];
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let config = config(&folder.path().join("data"), limits());
        Running::on(tempfile::tempdir().unwrap(), config, None)
    };
    let server = start();
    assert_eq!(server.send(&party.put()).status, 201);
    let job = server.send(&later(party, &[1, 3]));
    assert_eq!(job.status, 202);
    drop(server);
    let server = start();
    assert_eq!(party.decrypt(&server.wait(&job)), clear(&[1, 3]));
}

#[test]
fn only_their_callers_get_them() {
    let party = &world().parties[0];
    let folder = tempfile::tempdir().unwrap();
    let tokens = ["a-token-for-the-one", "a-token-for-another"];
    std::fs::write(folder.path().join("tokens"), tokens.join("\n")).unwrap();
    let with = |call: Call, token| call.with("authorization", &format!("Bearer {token}"));
    let server = Process::start(folder.path());
    assert_eq!(server.send(&with(party.put(), tokens[0])).status, 201);
    let job = server.send(&with(later(party, &LONG), tokens[0]));
    assert_eq!(job.status, 202);
    server.kill();

    let server = Process::start(folder.path());
    let ask = Call::get(job.header("location").unwrap());
    let stranger = with(ask.clone(), tokens[1]);
    server.send(&stranger).refused(404, "unknown_job", "");
    let reply = loop {
        let reply = server.send(&with(ask.clone(), tokens[0]));
        if reply.status != 202 {
            break reply;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(party.decrypt(&reply), clear(&LONG));
    server.send(&stranger).refused(404, "unknown_job", "");
}

#[test]
fn damaged_and_foreign_files_do_not_stop_the_start() {
    let (folder, job) = killed();
    let path = files(folder.path(), "in").remove(0);
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    // Results that are cut short, with nothing to make them of; half of a file; and what is none.
    let jobs = folder.path().join("data").join("jobs");
    let other = format!("1-{}-{}-0.out", "1".repeat(32), "2".repeat(16));
    std::fs::write(jobs.join(&other), "x").unwrap();
    std::fs::write(jobs.join("notes.txt"), "x").unwrap();
    std::fs::create_dir(jobs.join("a.in")).unwrap();
    std::fs::write(folder.path().join("data/incoming/half"), "x").unwrap();

    let server = Process::start(folder.path());
    let ask = Call::get(job.header("location").unwrap());
    server.send(&ask).refused(404, "unknown_job", "");
    let party = &world().parties[0];
    let anew = server.send(&later(party, &[1, 2]));
    assert_eq!(party.decrypt(&server.wait(&anew)), clear(&[1, 2]));
    assert!(server.terminate());
    assert!(!path.exists() && !jobs.join(other).exists());
    assert!(jobs.join("notes.txt").exists() && jobs.join("a.in").exists());
    assert!(!folder.path().join("data/incoming/half").exists());
}

#[test]
fn damaged_results_are_made_again() {
    let (folder, job) = killed();
    let path = files(folder.path(), "in").remove(0);
    std::fs::write(path.with_extension("out"), "x").unwrap();
    let server = Process::start(folder.path());
    assert_eq!(world().parties[0].decrypt(&server.wait(&job)), clear(&LONG));
}

#[test]
fn what_cannot_be_run_any_more_fails_for_good() {
    let (folder, job) = killed();
    let data = folder.path().to_owned();
    let other = || vec![Model::with_estimate(world().other.clone(), 0.01).unwrap()];
    let server = restarted(folder, |config| config.models = other());
    let reply = server.wait(&job);
    reply.refused(410, "failed", "the model is no longer served");
    until(&data, "in", 0);

    let (folder, job) = killed();
    std::fs::remove_dir_all(folder.path().join("data").join("keys")).unwrap();
    let server = Process::start(folder.path());
    let reply = server.wait(&job);
    reply.refused(410, "failed", "the key is no longer there");
    until(folder.path(), "failed", 1);
    server.kill();
    // The end stays what it was, also if the key comes back.
    let server = Process::start(folder.path());
    assert_eq!(server.send(&world().parties[0].put()).status, 201);
    let reply = server.wait(&job);
    reply.refused(410, "failed", "the key is no longer there");
}

#[test]
fn a_job_that_may_be_what_ends_the_process_is_given_up() {
    let (folder, job) = killed();
    let starts = || {
        let path = files(folder.path(), "in").remove(0);
        let name = path.file_stem().unwrap().to_str().unwrap();
        name.rsplit('-').next().unwrap().parse::<u32>().unwrap()
    };
    while starts() < 5 {
        let before = starts();
        let server = Process::start(folder.path());
        let end = Instant::now() + Duration::from_secs(60);
        while starts() == before {
            assert!(Instant::now() < end, "the job does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        server.kill();
        assert_eq!(starts(), before + 1);
    }
    let server = Process::start(folder.path());
    let reply = server.wait(&job);
    reply.refused(410, "failed", "went down 5 times while the job ran");
}

#[test]
fn jobs_that_never_ran_survive_any_number_of_starts() {
    let (folder, job) = killed();
    let party = &world().parties[0];
    // One that has had its starts, and three behind it.
    let path = files(folder.path(), "in").remove(0);
    let name = path.file_stem().unwrap().to_str().unwrap();
    let (start, _) = name.rsplit_once('-').unwrap();
    std::fs::rename(&path, path.with_file_name(format!("{start}-5.in"))).unwrap();
    let caller = start.rsplit_once('-').unwrap().1;
    let id = |number: u8| format!("{number:02x}").repeat(16);
    for number in 1..=3 {
        let name = format!("9000000000000-{}-{caller}-0.in", id(number));
        std::fs::write(path.with_file_name(name), party.inputs(&[number])).unwrap();
    }
    // Starts of a service whose worker runs nothing.
    for _ in 0..10 {
        Service::open(config(&folder.path().join("data"), limits())).unwrap();
    }
    let server = restarted(folder, |_| {});
    let reply = server.wait(&job);
    reply.refused(410, "failed", "went down 5 times while the job ran");
    for number in 1..=3 {
        let ask = Call::get(&format!("/v1/jobs/{}", id(number)));
        let reply = loop {
            let reply = server.send(&ask);
            if reply.status != 202 {
                break reply;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(party.decrypt(&reply), clear(&[number]));
    }
}

#[test]
fn requests_that_outlast_the_wait_are_on_disk_when_they_become_jobs() {
    let party = &world().parties[0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let server = restarted(folder, |config| {
        // Thought to be short, and not.
        config.models = vec![Model::with_estimate(world().circuit.clone(), 1e-9).unwrap()];
        config.limits = Limits {
            wait: Duration::from_millis(1),
            ..limits()
        };
    });
    assert_eq!(server.send(&party.put()).status, 201);
    let job = server.send(&party.infer(&LONG));
    assert_eq!(job.status, 202);
    assert_eq!(files(&path, "in").len(), 1);
    assert_eq!(party.decrypt(&server.wait(&job)), clear(&LONG));
    until(&path, "in", 0);
    assert_eq!(files(&path, "out").len(), 1);
}

#[test]
fn what_is_answered_at_once_leaves_nothing_on_disk() {
    let party = &world().parties[0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let server = restarted(folder, |_| {});
    assert_eq!(server.send(&party.put()).status, 201);
    assert_eq!(party.decrypt(&server.send(&party.infer(&[1]))), clear(&[1]));
    let jobs = path.join("data").join("jobs");
    assert_eq!(std::fs::read_dir(jobs).unwrap().count(), 0);
}

#[test]
fn an_answer_that_breaks_off_can_be_fetched_again() {
    let [a, b, _] = &world().parties;
    let tokens = ["a-token-for-the-one", "a-token-for-another"];
    let with = |call: Call, token| call.with("authorization", &format!("Bearer {token}"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let server = restarted(folder, |config| {
        config.tokens = Tokens::parse(&tokens.join("\n")).unwrap();
        config.limits.caller_jobs = 2;
    });
    assert_eq!(server.send(&with(a.put(), tokens[0])).status, 201);
    assert_eq!(server.send(&with(b.put(), tokens[1])).status, 201);
    let first = |samples: &[u8]| server.send(&with(later(a, samples), tokens[0]));
    let second = || server.send(&with(later(b, &[1]), tokens[1]));
    let samples = [3; 300];
    let job = first(&samples);
    assert_eq!(job.status, 202);
    until(&path, "out", 1);
    // Who asks without taking it has not got it: it makes no way for another one.
    let ask = with(Call::get(job.header("location").unwrap()), tokens[0]);
    let mut head = ask.clone();
    head.method = "HEAD";
    assert_eq!(server.send(&head).status, 405);
    assert_eq!(first(&[1]).status, 202);
    first(&[1]).refused(429, "caller_limit", "2 jobs, limit 2");

    let mut stream = connect(server.address).unwrap();
    stream.write_all(ask.head().as_bytes()).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    drop(stream);
    // The other caller is at the limit, and the answers that caller has had make way: no others.
    for turn in 0..3 {
        let kept = [second(), second()];
        let codes = kept.each_ref().map(|reply| reply.status);
        assert_eq!(codes, [202, 202], "turn {turn}");
        second().refused(429, "caller_limit", "2 jobs, limit 2");
        for job in kept {
            let ask = with(Call::get(job.header("location").unwrap()), tokens[1]);
            while server.send(&ask).status == 202 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    assert_eq!(a.decrypt(&server.send(&ask)), clear(&samples));
}
