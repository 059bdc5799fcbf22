//! For the same command line, `dhow` sends what the stock docker command line sends: each line of
//! the tables runs with both, against a server that only writes down what it is asked.
//!
//! The stock `docker` is the judge; where it is not installed, the tests say so and end.

mod lines;
mod recorder;

use std::ffi::OsString;
use std::process::{Command, Stdio};

use recorder::{Recorder, Sent};

/// `run` and `create`: every flag that reaches the engine.
const CONTAINERS: &[&str] = &[
    "create busybox",
    "create busybox sh -c 'echo a b'",
    "create --name x --hostname h --domainname d --user 1:2 --workdir /w busybox",
    "create -i busybox cat",
    "create -it busybox",
    "create -t -a stdout busybox",
    "create -a stdin -a stdout busybox",
    "create -e A=1 -e B= -e NOT_SET_ANYWHERE busybox",
    "create -e A=1 -e A=2 busybox",
    "create --env-file {dir}/env -e C=3 busybox",
    "create -e HTTP_PROXY=mine -e no_proxy= busybox",
    "create --label a=b --label c -l d= busybox",
    "create --label-file {dir}/env busybox",
    "create --annotation a=b --annotation c=d busybox",
    "create --entrypoint /bin/sh busybox -c true",
    "create --entrypoint '' busybox",
    "create --init busybox",
    "create --init=false busybox",
    "create --rm busybox",
    "create --restart always busybox",
    "create --restart on-failure:3 busybox",
    "create --stop-signal INT --stop-timeout 3 busybox",
    "create --stop-timeout 0 busybox",
    "create --platform linux/amd64 busybox",
    "create --group-add wheel --group-add 5 busybox",
    "create --cap-add NET_ADMIN --cap-drop ALL busybox",
    "create --cap-add net_admin --cap-add CAP_CHOWN --cap-add chown --cap-drop kill --cap-drop chown busybox",
    "create --cap-add ALL --cap-add kill --cap-drop mknod busybox",
    "create --privileged --read-only busybox",
    "create --security-opt no-new-privileges --security-opt label=disable busybox",
    "create --security-opt seccomp=unconfined --security-opt apparmor:x busybox",
    "create --security-opt seccomp={dir}/profile.json busybox",
    "create --security-opt systempaths=unconfined busybox",
    "create --security-opt systempaths=unconfined --security-opt no-new-privileges=true busybox",
    "create --pid host --ipc host --uts host --userns host --cgroupns private busybox",
    "create --pid container:x --ipc container:y busybox",
    "create --cgroup-parent /x --isolation default --runtime runc busybox",
    "create --sysctl net.core.somaxconn=1 --sysctl kernel.msgmax=2 busybox",
    "create -m 512m --memory-swap 1g --memory-reservation 256m --memory-swappiness 10 busybox",
    "create -m 1.5g --memory-swap -1 --kernel-memory 64m busybox",
    "create --oom-kill-disable --oom-score-adj 100 --pids-limit 50 busybox",
    "create --pids-limit -1 --shm-size 128m busybox",
    "create --cpus 1.5 --cpu-shares 512 --cpuset-cpus 0-1 --cpuset-mems 0 busybox",
    "create -c 10 --cpu-period 1000 --cpu-quota 2000 --cpu-rt-period 3 --cpu-rt-runtime 4 busybox",
    "create --blkio-weight 100 --blkio-weight-device /dev/sda:200 busybox",
    "create --device-read-bps /dev/sda:1m --device-write-bps /dev/sda:2kb busybox",
    "create --device-read-iops /dev/sda:10 --device-write-iops /dev/sda:20 busybox",
    "create --ulimit nofile=1:2 --ulimit core=0 --ulimit nofile=3:4 --ulimit nproc=-1 busybox",
    "create --device /dev/null --device /dev/zero:/dev/z --device /dev/a:/dev/b:r --device /dev/c:rw busybox",
    "create --device nvidia.com/gpu=all --device vendor.com/net=a busybox",
    "create --device-cgroup-rule 'c 1:3 rwm' --gpus all busybox",
    "create --gpus 2 --gpus device=0 busybox",
    "create -v /data busybox",
    "create -v name:/data busybox",
    "create -v /host:/data:ro busybox",
    "create -v ./here:/data busybox",
    "create -v a:/a -v /b --tmpfs /t --tmpfs /u:size=1m,mode=700 --volumes-from c:ro busybox",
    "create --volume-driver local --storage-opt size=1g busybox",
    "create --mount type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave busybox",
    "create --mount type=bind,source=.,target=/b,bind-nonrecursive=true busybox",
    "create --mount type=bind,src=/a,dst=/b,ro,bind-recursive=writable busybox",
    "create --mount src=v,dst=/b,volume-nocopy,volume-label=a=b,volume-driver=d,volume-opt=x=y busybox",
    "create --mount type=volume,dst=/b,volume-subpath=p busybox",
    "create --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770 busybox",
    "create --mount type=image,src=i,dst=/i,image-subpath=s busybox",
    "create --log-driver json-file --log-opt max-size=1m --log-opt max-file=2 busybox",
    "create --dns 1.1.1.1 --dns-search a.b --dns-option ndots:1 --dns-opt x --add-host a:1.2.3.4 --add-host b=::1 busybox",
    "create -p 80 busybox",
    "create -p 8080:80 -p 127.0.0.1:53:53/udp -p 90-91:90-91 --expose 100-101/udp --expose 7 busybox",
    "create -p '[::1]:80:80' -p 8000-8010:81 -P busybox",
    "create -p published=1,target=2,protocol=udp busybox",
    "create --link a:b busybox",
    "create --network none busybox",
    "create --net host busybox",
    "create --network container:x busybox",
    "create --network mine --network-alias a --ip 10.0.0.2 --ip6 fd00::2 --link l:m busybox",
    "create --network mine --mac-address 92:d0:c6:0a:29:33 --link-local-ip 169.254.1.1 busybox",
    "create --network name=mine,alias=a,ip=10.0.0.2,driver-opt=a=b,gw-priority=3 --network other busybox",
    "create --mac-address 92:d0:c6:0a:29:33 busybox",
    "create --health-cmd true --health-interval 5s --health-timeout 1s --health-retries 3 busybox",
    "create --health-start-period 1m --health-start-interval 500ms busybox",
    "create --no-healthcheck busybox",
    "create --cidfile {dir}/cid busybox",
    "run --rm busybox echo hi",
    "run -d --name x busybox",
    "run -i busybox cat",
    "run -a stdout busybox",
    "run --detach-keys ctrl-a,b -i busybox",
];

/// Everything else that changes something.
const OTHERS: &[&str] = &[
    "start x",
    "stop x",
    "stop -s INT -t 3 x",
    "stop -t 0 x",
    "restart -t 5 x",
    "kill x",
    "kill -s HUP x",
    "pause x",
    "unpause x",
    "wait x",
    "rename x y",
    "rm x",
    "rm -fv x",
    "rm -l x/y",
    "commit x",
    "commit -m msg -a me -c 'CMD sh' -c 'ENV A=b' -p=false x repo:tag",
    "commit x repo",
    "tag a b",
    "tag a b:c",
    "rmi a",
    "rmi -f --no-prune a",
    "container prune -f",
    "container prune -f --filter label=a --filter until=1h",
    "image prune -f",
    "image prune -af --filter until=1h",
    "volume prune -f",
    "volume prune -af",
    "volume create",
    "volume create v --driver d --label a=b --opt c=d",
    "volume rm v",
    "volume rm -f v",
    "exec x true",
    "exec -d x true",
    "exec -e A=1 -u root -w /tmp --privileged x sh -c 'a b'",
    "exec -i x cat",
];

/// Lists and other questions.
const QUESTIONS: &[&str] = &[
    "ps",
    "ps -a",
    "ps -as",
    "ps -n 3",
    "ps -l",
    "ps -f name=a -f name=b -f status=exited",
    "ps --format '{{.Size}}'",
    "images",
    "images -a",
    "images busybox:latest",
    "images -f dangling=true",
    "history x",
    "save a b:c",
    "diff x",
    "top x -o pid",
    "export x",
    "info",
    "version",
    "system df",
    "volume ls -f dangling=true",
    "network ls",
    "events --since 1 --until 2 -f type=container",
];

#[test]
fn containers_are_created_as_docker_creates_them() {
    // For a container in the background docker asks for a status that it does not use.
    compare(CONTAINERS, |sent| sent.method == "POST" && !sent.path.ends_with("/wait"));
}

#[test]
fn every_change_is_asked_for_as_docker_asks() {
    compare(OTHERS, |sent| sent.method != "GET");
}

#[test]
fn every_question_is_put_as_docker_puts_it() {
    compare(QUESTIONS, |_| true);
}

#[test]
fn networks_and_ports_are_asked_for_as_docker_asks() {
    // Docker looks at a network before it removes it.
    compare(lines::NETWORKS, |sent| sent.method != "GET");
    compare(lines::NETWORKING, |sent| sent.method == "POST" && !sent.path.ends_with("/wait"));
}

fn compare(lines: &[&str], matters: fn(&Sent) -> bool) {
    if Command::new("docker").arg("--version").output().is_err() {
        println!("skipped: the stock docker command line is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("make a folder");
    let path = folder.path();
    std::fs::write(path.join("env"), "# comment\nX=1\nY=two words\n").expect("write a file");
    std::fs::write(path.join("profile.json"), "{ \"defaultAction\" : \"SCMP_ACT_ALLOW\" }")
        .expect("write a file");
    let proxies = "{\"proxies\":{\"default\":{\"httpProxy\":\"http://p:1\",\"noProxy\":\"a,b\"}}}";
    std::fs::write(path.join("config.json"), proxies).expect("write a file");
    let mut wrong = Vec::new();
    for line in lines {
        let words = split(&line.replace("{dir}", &path.to_string_lossy()));
        let recorder = Recorder::start(path);
        docker(&recorder, path, &words);
        let theirs: Vec<Sent> = recorder.taken().into_iter().filter(matters).collect();
        let _ = std::fs::remove_file(path.join("cid"));
        dhow(&recorder, path, &words);
        let ours: Vec<Sent> = recorder.taken().into_iter().filter(matters).collect();
        let _ = std::fs::remove_file(path.join("cid"));
        if theirs.is_empty() || theirs != ours {
            wrong.push(format!("{line}\n{}", difference(&theirs, &ours)));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), lines.len(), wrong.join("\n"));
}

/// What is not the same, a line each.
fn difference(theirs: &[Sent], ours: &[Sent]) -> String {
    let mut lines = Vec::new();
    for index in 0..theirs.len().max(ours.len()) {
        match (theirs.get(index), ours.get(index)) {
            (Some(a), Some(b)) => a.differences(b, &mut lines),
            (a, b) => lines.push(format!("docker: {}, dhow: {}", Sent::title(a), Sent::title(b))),
        }
    }
    lines.into_iter().map(|line| format!("  {line}\n")).collect()
}

fn docker(recorder: &Recorder, folder: &std::path::Path, words: &[String]) {
    let mut command = Command::new("docker");
    command.args(["--host", &recorder.host]).args(words);
    command.env("DOCKER_CONFIG", folder).env_remove("DOCKER_HOST").env_remove("DOCKER_API_VERSION");
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.expect("run docker");
}

/// In this process: what it prints is of no interest here.
fn dhow(recorder: &Recorder, folder: &std::path::Path, words: &[String]) {
    let before = ["dhow".to_owned(), "--config".to_owned(), folder.to_string_lossy().into_owned()];
    let host = ["--host".to_owned(), recorder.host.clone()];
    let words = before.into_iter().chain(host).chain(words.iter().cloned());
    dhow_cli::run(words.map(OsString::from));
}

/// Splits a line at blanks, but not within single quotes.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quoted, mut begun) = (false, false);
    for character in line.chars() {
        match character {
            '\'' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}
