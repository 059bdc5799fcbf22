//! Command lines about networks and ports that are wrong: ours says so in the words of the stock one.

use std::path::Path;

use anyhow::Result;
use dhow_conformance::docker;
use dhow_testkit::{engine::binary, process};

/// What is refused at once by the command line, before it asks the engine.
const REFUSED: &[&str] = &[
    "network create --subnet 10.0.0.0/16 --subnet 10.0.1.0/24 n",
    "network create --subnet 10.0.0.0 --subnet 10.2.0.0/16 n",
    "network create --gateway 10.0.0.1 n",
    "network create --gateway x n",
    "network create --ip-range 1.2.3.4 n",
    "network create --subnet 10.0.0.7/16 --gateway 11.0.0.1 n",
    "network create --subnet 10.0.0.7/16 --ip-range 11.0.0.1/24 n",
    "network create --subnet 10.0.0.7/16 --ip-range 11.0.0.1/ n",
    "network create --subnet 10.0.0.7/16 --subnet 10.3.0.0/16 --gateway 10.0.0.1 --gateway 10.0.0.2 n",
    "network create --subnet 10.0.0.7/16 --subnet 10.3.0.0/16 --ip-range 10.0.0.1/24 --ip-range 10.0.1.0/24 n",
    "network create --subnet 10.0.0.7/16 --aux-address h=11.0.0.1 n",
    "network create --subnet 10.0.0.7/16 --aux-address h=x n",
    "network create --label =x n",
    "network create --label 'a b' n",
    "network create --ipv4=x n",
    "network create --aux-address h n",
    "network create --subnet 10.0.0.7/16 --aux-address h n",
    "network create --ip-range ,  --subnet '' n",
    "network create --subnet 'a\"b' n",
    "network create --subnet '\"a\"b' n",
    "network create --foo n",
    "network create",
    "network create a b",
    "network connect --link a:b:c n c",
    "network connect --link '' n c",
    "network connect --driver-opt a n c",
    "network connect --driver-opt =a n c",
    "network connect --gw-priority x n c",
    "network connect --alias 'a,\"b' n c",
    "network connect n",
    "network connect n ''",
    "network connect '' c",
    "network disconnect '' ''",
    "network disconnect n ''",
    "network disconnect n",
    "network rm",
    "network rm ''",
    "network prune -f --filter x",
    "network prune x",
    "volume create --label =x",
    "create --expose 80: busybox",
    "create --expose '' busybox",
    "create --expose 5-3 busybox",
    "create --expose 70000 busybox",
    "create -p '' busybox",
    "create -p : busybox",
    "create -p 1: busybox",
    "create -p a:1 busybox",
    "create -p 1.2.3.4.5:1:1 busybox",
    "create -p host:1:1 busybox",
    "create -p [::1:1:1 busybox",
    "create -p 80-82:90-91 busybox",
    "create -p 80-82:90-93 busybox",
    "create -p 82-80:90 busybox",
    "create -p 80/foo busybox",
    "create -p 70000 busybox",
    "create -p 70000:80 busybox",
    "create -p published=1,foo busybox",
    "create -p foo=1 busybox",
    "create -p -1:80 busybox",
    "create -p ' 80' busybox",
    "create -p [fe80::1%eth0]:80:80 busybox",
    "create --network '' busybox",
    "create --network n --network n busybox",
    "create --network n --network host busybox",
    "create --network host --network n busybox",
    "create --network bridge --network n busybox",
    "create --network name=n,alias=a --network-alias b busybox",
    "create --network name=n,ip=1.2.3.4 --ip 1.2.3.5 busybox",
    "create --network name=n,ip6=fd00::1 --ip6 fd00::2 busybox",
    "create --network name=n,mac-address=02:42:ac:11:00:02 --mac-address 02:42:ac:11:00:03 busybox",
    "create --network name=n,link-local-ip=169.254.1.1 --link-local-ip 169.254.1.2 busybox",
    "create --network name=n,link=a busybox",
    "create --network alias=a busybox",
    "create --network name=n,foo busybox",
    "create --network name=n,foo=bar busybox",
    "create --network name=n,driver-opt=x busybox",
    "create --network name=n,driver-opt==x busybox",
    "create --network name=n,gw-priority=x busybox",
    "create --network name=n,gw-priority= busybox",
    "create --network name=n,mac-address=x busybox",
    "create --network 'name=n,\"x' busybox",
    "create --network name=host,alias=a busybox",
    "create --network-alias a busybox",
    "create --mac-address x busybox",
    "create --link '' busybox",
    "create --link a:b:c busybox",
    "create --dns x busybox",
    "create --dns 001.1.1.1 busybox",
    "create --dns-search -x busybox",
    "create --dns-search '' busybox",
    "create --add-host a busybox",
    "create --add-host a: busybox",
    "create --add-host :1.2.3.4 busybox",
    "create --add-host a:x busybox",
    "create --add-host a=1.2.3.4,5 busybox",
    "create --network 1=2 busybox",
    "create --network a-b=c busybox",
    "create --network name=n,gw-priority=99999999999999999999 busybox",
];

#[test]
fn what_is_wrong_is_said_as_docker_says_it() -> Result<()> {
    let Some(docker) = docker() else { return Ok(()) };
    let ours = binary()?;
    let mut differences = Vec::new();
    for line in REFUSED {
        let said = |program: &Path| {
            let mut command = std::process::Command::new(program);
            // Nobody listens there: what is asked all the same is seen.
            command.args(split(line)).env("DOCKER_HOST", "unix:///nonexistent/socket");
            let answer = process::answer(&mut command, b"")?;
            anyhow::Ok((answer.status, answer.stdout, answer.stderr.replace("dhow", "docker")))
        };
        let (theirs, ours) = (said(&docker)?, said(&ours)?);
        if theirs != ours {
            differences.push(format!("{line}\n  docker {theirs:?}\n  dhow   {ours:?}\n"));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.concat());
    Ok(())
}

/// Words of a line; quotes keep blanks together.
fn split(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(number, part)| match number % 2 {
            1 => vec![part],
            _ => part.split_whitespace().collect(),
        })
        .collect()
}
