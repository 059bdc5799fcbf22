//! Options of networks' drivers, and of a container's place in a network.

use std::path::Path;

use anyhow::{Result, ensure};
use dhow_journeys::{docker, engine};
use dhow_testkit::Engine;
use dhow_testkit::process::must;

/// What `ip` says on the engine's host.
fn ip(engine: &Engine, line: &str) -> Result<String> {
    must(engine.within_network(Path::new("ip")).args(line.split_whitespace()))
}

#[test]
fn settings_of_one_link_are_its_own() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "network create --ipv6 app").ok();
    let run = |network: &str, sysctls: &str, command: &str| {
        let option = format!("\"driver-opt=com.docker.network.endpoint.sysctls={sysctls}\"");
        docker(&engine, &format!("run --rm --network name={network},{option} busybox {command}"))
    };
    let two = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv4.conf.IFNAME.forwarding=0";
    let told = run("bridge", two, "sysctl net.ipv4.conf.eth0.log_martians net.ipv4.conf.eth0.forwarding");
    ensure!(
        told.ok() == "net.ipv4.conf.eth0.log_martians = 1\nnet.ipv4.conf.eth0.forwarding = 0",
        "{told:?}"
    );
    let four = run("app", "net.ipv6.conf.IFNAME.disable_ipv6=1", "ip address show eth0");
    ensure!(!four.ok().contains("inet6"), "{four:?}");
    for (sysctls, words) in [
        ("net.ipv4.conf.eth0.forwarding=1", "unrecognised network interface sysctl 'net.ipv4.conf.eth0"),
        ("net.ipv4.conf.IFNAME.nope=1", "/proc/sys/net/ipv4/conf/eth0/nope is not a sysctl file"),
        ("net.ipv4.conf.IFNAME.forwarding=x", "unable to write to '/proc/sys/net/ipv4/conf/eth0/forwarding'"),
    ] {
        let refused = run("app", sysctls, "true");
        ensure!(refused.status == 125 && refused.stderr.contains(words), "{sysctls}: {refused:?}");
    }
    docker(&engine, "run -d --init --name box busybox sleep 1000").ok();
    let option = "--driver-opt com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
    docker(&engine, &format!("network connect {option} app box")).ok();
    let told =
        docker(&engine, "exec box sysctl -n net.ipv4.conf.eth0.log_martians net.ipv4.conf.eth1.log_martians");
    ensure!(told.ok() == "0\n1", "{told:?}");
    Ok(())
}

#[test]
fn the_host_is_the_gateway_or_not() -> Result<()> {
    let engine = engine()?;
    let mode = "com.docker.network.bridge.gateway_mode";
    let create = |options: &str| docker(&engine, &format!("network create {options} x"));
    let refused = create(&format!("-o {mode}_ipv4=isolated"));
    ensure!(refused.stderr.contains("gateway mode 'isolated' can only be used for an internal network"));
    let name = "-o com.docker.network.bridge.name=br-x";
    let try_it = |options: &str| -> Result<(String, String)> {
        create(&format!("{name} {options}")).ok();
        let routes = docker(&engine, "run --rm --network x busybox ip route").ok().to_owned();
        let addresses = ip(&engine, "address show br-x")?;
        docker(&engine, "network rm x").ok();
        Ok((routes, addresses))
    };
    let subnet = "--subnet 10.7.0.0/24";
    let (routes, addresses) = try_it(subnet)?;
    ensure!(routes.contains("default via 10.7.0.1") && addresses.contains("10.7.0.1/24"));
    let (routes, addresses) =
        try_it(&format!("{subnet} --internal --ipv6 -o {mode}_ipv4=isolated -o {mode}_ipv6=isolated"))?;
    ensure!(!routes.contains("default") && !addresses.contains("inet"), "{addresses}");
    let (routes, addresses) = try_it(&format!("{subnet} -o com.docker.network.bridge.inhibit_ipv4=true"))?;
    ensure!(routes.contains("default via 10.7.0.1") && !addresses.contains("inet "), "{addresses}");
    let (routes, addresses) = try_it(&format!("{subnet} --aux-address DefaultGatewayIPv4=10.7.0.9"))?;
    ensure!(routes.contains("default via 10.7.0.9") && addresses.contains("10.7.0.1/24"), "{routes}");
    Ok(())
}

#[test]
fn options_say_which_versions_a_network_has() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "network create -o com.docker.network.enable_ipv6=true six").ok();
    ensure!(docker(&engine, "network inspect -f {{.EnableIPv6}} six").ok() == "true");
    let refused = docker(&engine, "network create -o com.docker.network.enable_ipv6=x six2");
    ensure!(refused.stderr.contains("driver-opt \"com.docker.network.enable_ipv6\" is not a valid bool"));
    Ok(())
}

#[test]
fn what_a_bridge_cannot_be_is_refused_when_the_network_is_made() -> Result<()> {
    let engine = engine()?;
    let refused = |with: &str, words: &str| {
        let refused = docker(&engine, &format!("network create {with} refused"));
        ensure!(refused.status == 1 && refused.stderr.contains(words), "{with}: {refused:?}");
        docker(&engine, "network create refused").ok();
        docker(&engine, "network rm refused").ok();
        Ok(())
    };
    refused("-o com.docker.network.bridge.name=lo", "existing interface lo is not a bridge")?;
    let several = "bridge driver doesn't support multiple subnets";
    refused("--subnet 10.7.0.0/24 --subnet 10.8.0.0/24", several)?;
    refused("--ipv6 --subnet 10.7.0.0/24 --subnet fd07::/64 --subnet fd08::/64", several)?;
    for (name, with) in [("four", "--ipv6=false"), ("six", "--ipv4=false --ipv6")] {
        docker(&engine, &format!("network create {with} --subnet 10.7.0.0/24 --subnet fd07::/64 {name}"))
            .ok();
        let shown = docker(
            &engine,
            &format!("network inspect -f {{{{range.IPAM.Config}}}}{{{{.Subnet}}}}{{{{end}}}} {name}"),
        );
        ensure!(shown.ok() == if name == "four" { "10.7.0.0/24" } else { "fd07::/64" }, "{shown:?}");
        docker(&engine, &format!("network rm {name}")).ok();
    }
    Ok(())
}

#[test]
fn a_network_of_higher_priority_is_the_way_out_at_once() -> Result<()> {
    let engine = engine()?;
    for (name, number) in [("a", 1), ("b", 2), ("c", 3)] {
        let subnets = format!("--subnet 10.{number}.0.0/24 --ipv6 --subnet fd0{number}::/64");
        docker(&engine, &format!("network create {subnets} {name}")).ok();
    }
    docker(&engine, "run -d --init --name box --network a busybox sleep 1000").ok();
    // The way of a packet to somewhere, of either version.
    let way = |to: &str| docker(&engine, &format!("exec box ip route get {to}")).ok().to_owned();
    let leaves_by = |gateways: [&str; 2]| {
        let found = [way("192.0.2.1"), way("2001:db8::1")];
        ensure!(found.iter().zip(gateways).all(|(way, gateway)| way.contains(gateway)), "{found:?}");
        // One way, as with Docker: what changes routes inside (a VPN) meets no second one.
        for version in ["-4", "-6"] {
            let routes = docker(&engine, &format!("exec box ip {version} route")).ok().to_owned();
            let ways = routes.lines().filter(|line| line.starts_with("default")).count();
            ensure!(ways == 1, "{ways} ways out: {routes}");
        }
        Ok(())
    };
    docker(&engine, "network connect b box").ok();
    leaves_by(["via 10.1.0.1", "via fd01::1"])?;
    docker(&engine, "network connect --gw-priority 100 c box").ok();
    leaves_by(["via 10.3.0.1", "via fd03::1"])?;
    docker(&engine, "network disconnect c box").ok();
    leaves_by(["via 10.1.0.1", "via fd01::1"])?;
    docker(&engine, "network disconnect a box").ok();
    leaves_by(["via 10.2.0.1", "via fd02::1"])?;
    docker(&engine, "network connect --gw-priority -1 a box").ok();
    leaves_by(["via 10.2.0.1", "via fd02::1"])?;
    docker(&engine, "restart -t 0 box").ok();
    leaves_by(["via 10.2.0.1", "via fd02::1"])?;
    // What is connected last and refused on the way leaves the way out as it was.
    let sysctl = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.nothing=1";
    let refused = docker(
        &engine,
        &format!("network connect --gw-priority 200 --driver-opt {sysctl} --ip 10.3.0.9 c box"),
    );
    ensure!(refused.status != 0, "{refused:?}");
    leaves_by(["via 10.2.0.1", "via fd02::1"])?;
    let shown = docker(&engine, "inspect box").ok().to_owned();
    ensure!(!shown.contains("10.3.0.9"), "{shown}");
    let hosts = docker(&engine, "exec box cat /etc/hosts").ok().to_owned();
    ensure!(!hosts.contains("10.3.0.9"), "{hosts}");
    ensure!(docker(&engine, "exec box ip link").ok().matches("eth").count() == 2 * 2, "a link was left");
    docker(&engine, "network connect --ip 10.3.0.9 c box").ok();
    Ok(())
}

/// Who is linked to a container calls it by a name of their own, which all others may use.
#[test]
fn a_container_is_also_called_what_others_call_it() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "create --name db busybox true").ok();
    docker(&engine, "create --name behind --network container:db busybox true").ok();
    docker(&engine, "create --name web --link db:data --link behind:more busybox true").ok();
    docker(&engine, "create --name app --link db busybox true").ok();
    let names = |engine: &Engine| -> Result<serde_json::Value> {
        let all = engine.connect()?.request("GET", "/containers/json?all=1", &serde_json::Value::Null)?;
        let all = all.json()?;
        let named = |one: &&serde_json::Value| one["Names"].to_string().contains("\"/db\"");
        Ok(all
            .as_array()
            .into_iter()
            .flatten()
            .find(named)
            .map_or(serde_json::Value::Null, |one| one["Names"].clone()))
    };
    assert_eq!(names(&engine)?, serde_json::json!(["/app/db", "/db", "/web/data", "/web/more"]));
    let id = docker(&engine, "inspect -f {{.Id}} db").ok().to_owned();
    for name in ["web/data", "/web/more", "app/db"] {
        ensure!(docker(&engine, &format!("inspect -f {{{{.Id}}}} {name}")).ok() == id, "{name}");
    }
    for (flag, shown) in [("-a", "db"), ("-a --no-trunc", "app/db,db,web/data,web/more")] {
        let line = format!("ps {flag} --filter name=^/db$ --format {{{{.Names}}}}");
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!((engine.docker(&words).ok(), engine.dhow(&words).ok()), (shown, shown));
    }
    docker(&engine, "rm --link web/data").ok();
    docker(&engine, "rename web new").ok();
    docker(&engine, "rm app").ok();
    assert_eq!(names(&engine)?, serde_json::json!(["/db", "/new/more"]));
    ensure!(docker(&engine, "start web/more").stderr.contains("No such container: web/more"));
    docker(&engine, "start new/more").ok();
    docker(&engine, "rm -f new/more").ok();
    ensure!(docker(&engine, "inspect db").status == 1);
    docker(&engine, "create --name host --network host busybox true").ok();
    let refused = docker(&engine, "create --link host:h busybox true");
    ensure!(refused.stderr.contains("host type networking can't be used with links"), "{refused:?}");
    Ok(())
}

#[test]
fn who_is_linked_to_a_container_hears_of_its_new_address() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "run -d --init --name db busybox sleep 1000").ok();
    docker(&engine, "run -d --init --name web --link db:data busybox sleep 1000").ok();
    docker(&engine, "stop -t 0 db").ok();
    docker(&engine, "run -d --init --name other busybox sleep 1000").ok();
    docker(&engine, "start db").ok();
    let address = docker(&engine, "inspect -f {{.NetworkSettings.IPAddress}} db").ok().to_owned();
    let hosts = docker(&engine, "exec web cat /etc/hosts").ok().to_owned();
    let told: Vec<&str> = hosts.lines().filter(|line| line.contains("data")).collect();
    ensure!(told.len() == 1 && told[0].starts_with(&format!("{address}\t")), "{address}: {hosts}");
    Ok(())
}

/// `CONTAINER/ALIAS` is the name of a link: it goes, and both containers stay.
#[test]
fn a_link_is_taken_away_by_its_own_name() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "run -d --init --name db busybox sleep 1000").ok();
    docker(&engine, "run -d --init --name web --link db:data --link db:more busybox sleep 1000").ok();
    for (name, words) in [
        ("web", "Conflict, cannot remove the default link name of the container"),
        ("nope", "No such container: nope"),
        ("web/nope", "No such container: web/nope"),
        ("nope/data", "No such container: nope/data"),
    ] {
        let refused = docker(&engine, &format!("rm --link {name}"));
        ensure!(refused.status == 1 && refused.stderr.contains(words), "{refused:?}");
    }
    ensure!(docker(&engine, "rm --link web/data").ok() == "web/data");
    ensure!(docker(&engine, "inspect -f {{.HostConfig.Links}} web").ok() == "[/db:/web/more]");
    let hosts = docker(&engine, "exec web cat /etc/hosts").ok().to_owned();
    ensure!(!hosts.contains("data") && hosts.contains("more"), "{hosts}");
    ensure!(engine.dhow(&["rm", "--link", "/web/more"]).ok() == "/web/more");
    docker(&engine, "restart -t 0 web").ok();
    ensure!(!docker(&engine, "exec web cat /etc/hosts").ok().contains("more"));
    ensure!(docker(&engine, "exec db true").status == 0);
    Ok(())
}

#[test]
fn settings_that_name_a_bridge_take_it_from_nobody() -> Result<()> {
    let engine = engine()?;
    docker(&engine, "run -d --init --name web busybox sleep 600").ok();
    let name = "{{index .Options \"com.docker.network.bridge.name\"}}";
    let bridge = engine.docker(&["network", "inspect", "bridge", "-f", name]);
    let bridge = bridge.ok().to_owned();
    let option = format!("com.docker.network.bridge.name={bridge}");
    docker(&engine, &format!("network create --config-only -o {option} settings")).ok();
    docker(&engine, "network rm settings").ok();
    ensure!(ip(&engine, &format!("link show {bridge}"))?.contains("UP"), "the default bridge is gone");
    docker(&engine, "exec web ping -c 1 -W 2 172.17.0.1").ok();
    Ok(())
}

/// What an engine puts on a bridge that is not its own it takes off again, and nothing else.
#[test]
fn a_bridge_of_somebody_else_is_left_as_it_was() -> Result<()> {
    let mut engine = engine()?;
    for line in ["link add others type bridge", "address add 10.7.0.9/24 dev others", "link set others up"] {
        ip(&engine, line)?;
    }
    let create = "network create --subnet 10.7.0.0/24 -o com.docker.network.bridge.name=others own";
    let addresses = |engine: &Engine| -> Result<Vec<String>> {
        let text = ip(engine, "-4 -o address show others")?;
        let words = text.split_whitespace().filter(|word| word.starts_with("10."));
        Ok(words.filter(|word| word.contains('/')).map(str::to_owned).collect())
    };
    for killed in [false, true] {
        docker(&engine, create).ok();
        docker(&engine, "run -d --init --name web --network own -p 127.0.0.1:8080:80 busybox sleep 600").ok();
        ensure!(addresses(&engine)?.contains(&"10.7.0.1/24".to_owned()));
        docker(&engine, "rm -f web").ok();
        let noted = engine.scratch().join("run/bridges/others");
        let text = std::fs::read_to_string(&noted)?;
        ensure!(text == "10.7.0.1/24\nloopback", "{text}");
        docker(&engine, "network rm own").ok();
        if killed {
            // As an engine leaves it that is killed when the network is off its records.
            engine.kill()?;
            ip(&engine, "address flush dev others")?;
            ip(&engine, "address add 10.7.0.1/24 dev others")?;
            ip(&engine, "address add 10.7.0.9/24 dev others")?;
            std::fs::write(&noted, text)?;
            engine.launch()?;
            docker(&engine, "version").ok();
        }
        ensure!(addresses(&engine)? == ["10.7.0.9/24"], "{:?}", addresses(&engine)?);
        ensure!(!noted.exists());
        let switch = "/proc/sys/net/ipv4/conf/others/route_localnet";
        let is_open = engine.in_network(|| std::fs::read_to_string(switch))?;
        ensure!(killed || is_open.trim() == "0");
    }
    Ok(())
}

#[test]
fn the_host_has_no_address_in_an_isolated_network_that_names_a_gateway() -> Result<()> {
    let engine = engine()?;
    let options =
        "-o com.docker.network.bridge.gateway_mode_ipv4=isolated -o com.docker.network.bridge.name=apart";
    docker(
        &engine,
        &format!("network create --internal --subnet 10.8.0.0/24 --gateway 10.8.0.1 {options} apart"),
    )
    .ok();
    docker(&engine, "run --rm --network apart busybox true").ok();
    let addresses = ip(&engine, "-4 -o address show apart")?;
    ensure!(addresses.is_empty(), "{addresses}");
    Ok(())
}
