//! One story about networks and ports, told with the stock command line and then with ours to one engine:
//! every line ends alike and says the same. `ID` stands for what differs from run to run. Several networks
//! of one container are counted in letters: their order in `ps` is Docker's chance, and the alphabet's with us.

use std::path::Path;

use anyhow::Result;
use dhow_conformance::{docker, engine, without_ids};
use dhow_testkit::Engine;

/// The story leaves nothing behind, so that it can be told twice. `·` is a blank within a word.
const STORY: &[&str] = &[
    "run -d --name web busybox sleep 10000",
    "network create --subnet 10.99.0.0/24 --gateway 10.99.0.1 --ip-range 10.99.0.128/25 --label a=b net1",
    "network create --aux-address h=10.98.0.9 --subnet 10.98.0.0/24 --internal -o x=y net2",
    "network create --ipv6 --subnet fd00:99::/64 six",
    "network create net1",
    "network create --subnet 10.99.0.0/25 net3",
    "network create --subnet 10.96.0.7 net3",
    "network create --subnet 10.96.0.0/24 --gateway 10.95.0.1 net3",
    "network create --driver nope net3",
    "network create --ipv4=false net3",
    "network create --scope nope net3",
    "network create --ingress net3",
    "network create bridge",
    "network create a/b",
    "network inspect -f {{.Name}} a/b",
    "network rm a/b",
    "network create two·words",
    "run --rm --network two·words busybox true",
    "network inspect -f {{.Name}} two·words",
    "network rm two·words",
    "network create ·",
    "network inspect -f {{json·.IPAM}}{{.Internal}}{{.Labels}}{{.Options}}{{.EnableIPv6}} net1 net2 six",
    "network create --config-only --label c=d base",
    "network create --config-from base made",
    "network inspect -f {{.ConfigOnly}}{{.ConfigFrom}} base made",
    "network ls --format {{.Name}}·{{.Driver}}·{{.Scope}}·{{.IPv6}}·{{.Internal}}·{{.Labels}}",
    "network connect --alias a --alias b,c --ip 10.99.0.130 --driver-opt x=y net1 web",
    "network connect --gw-priority 3 --link-local-ip 169.254.9.9 six web",
    "network connect --ip 10.99.0.131 net2 web",
    "network connect --ip x net2 web",
    "network connect net1 web",
    "network connect nope web",
    "network connect net1 nope",
    "network connect host web",
    "inspect -f {{range·$n,$e:=.NetworkSettings.Networks}}{{$n}}:{{$e.Gateway}},{{$e.GwPriority}},{{end}} web",
    "inspect -f {{.NetworkSettings.Networks.net1.IPAddress}} web",
    "network inspect -f {{range·.Containers}}{{.Name}}{{.IPv4Address}}{{end}} net1",
    "network rm net1",
    "network disconnect net2 web",
    "network disconnect nope web",
    "network disconnect net1 nope",
    "network disconnect -f net1 nope",
    "network disconnect net1 web",
    "network disconnect -f six web",
    "network rm nope net1 bridge",
    "network rm -f nope",
    "network rm made base",
    "run -d --name served --network name=net2,alias=z,ip=10.98.0.7 --network six --add-host up:host-gateway busybox sleep 10000",
    "exec served grep -c up /etc/hosts",
    "run -d --name many -p 8080:80 -p 127.0.0.1:9000-9002:90-92/udp -p 8081:80 --expose 7 busybox sleep 10000",
    "port many",
    "port many 80",
    "port many 91/udp",
    "port many 91",
    "port many x",
    "port served",
    "ps --format {{.Names}}·{{.Ports}}·{{len·.Networks}}",
    "ps --filter network=bridge --format {{.Networks}}",
    "ps --filter publish=80 --format {{.Names}}",
    "ps --filter publish=8080 --format {{.Names}}",
    "ps --filter expose=7 --format {{.Names}}",
    "ps --filter network=net2 --format {{.Names}}",
    "ps --filter network=nope --format {{.Names}}",
    "run --name taken -p 8080:80 busybox true",
    "rm -f many served taken",
    "create --name dead busybox",
    "network prune --filter label=nope -f",
    "network prune --filter nope=x -f",
    "network prune",
    "system prune",
    "system prune -f",
    "network prune -f",
    "rm -f web",
];

/// What each line of the story says.
fn told(engine: &Engine, program: &Path) -> Vec<String> {
    let tell = |line: &&str| {
        let words: Vec<String> = line.split(' ').map(|word| word.replace('·', " ")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let answer = engine.client(program, &words, b"");
        let said = format!("{}{}", answer.stdout, answer.stderr.replace("dhow", "docker"));
        format!("{line}\n  {} {}", answer.status, without_ids(&said))
    };
    STORY.iter().map(tell).collect()
}

#[test]
fn a_story_about_networks_is_told_alike() -> Result<()> {
    if docker().is_none() {
        return Ok(());
    }
    let engine = engine()?;
    let theirs = told(&engine, Path::new("docker"));
    let ours = told(&engine, engine.binary());
    let differing = theirs.iter().zip(&ours).filter(|(theirs, ours)| theirs != ours);
    let differences: Vec<String> =
        differing.map(|(theirs, ours)| format!("docker {theirs}\ndhow   {ours}\n")).collect();
    if std::env::var_os("DHOW_SHOW_STORY").is_some() {
        eprintln!("{}", theirs.join("\n"));
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.concat());
    Ok(())
}
