//! A host with bridges and containers, and somebody outside, all in namespaces of the test's own.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use dhow_net::firewall::{Face, Neighbours, Network, Port, Protocol, Reach};
use dhow_net::link::{Address, Change, Index, Pair, Route};
use dhow_net::sandbox::Sandbox;
use rustix::net::sockopt::Timeout;
use rustix::net::{
    AddressFamily, Protocol as Protocol_, RawProtocol, RecvFlags, SendFlags, SocketFlags, SocketType,
};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

/// How long an answer may be on its way: what is dropped is known by its silence only.
/// Neighbours of IPv6 that do not hear the first question are asked again after a second.
const PATIENCE: Duration = Duration::from_millis(2500);

/// The host's addresses on the wire to the outside.
pub(crate) const HOST4: &str = "192.0.2.1";
pub(crate) const HOST6: &str = "2001:db8::1";

/// Where a network's address lies in the private ones.
pub(crate) struct Lab {
    pub(crate) host: Sandbox,
    pub(crate) outside: Sandbox,
}

/// One end of a wire.
struct End<'a> {
    name: &'a str,
    addresses: [Address; 2],
}

pub(crate) fn address(text: &str, prefix: u8) -> Address {
    Address { address: text.parse().unwrap(), prefix }
}

/// A lab; none, and it is told why, where this user may make none.
pub(crate) fn lab() -> Option<Lab> {
    let mut host = match Sandbox::new() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            println!("skipped: network namespaces cannot be made: {error}");
            return None;
        }
        made => made.unwrap(),
    };
    let mut outside = without_loopback();
    let here = End { name: "wire0", addresses: [address(HOST4, 24), address(HOST6, 64)] };
    let there = End { name: "eth0", addresses: [address("192.0.2.9", 24), address("2001:db8::9", 64)] };
    join(&mut host, None, &here, &mut outside, &there);
    gateways(&mut outside, [HOST4, HOST6]);
    within(&host, || {
        write("ipv4/ip_forward", "1");
        write("ipv6/conf/all/forwarding", "1");
    });
    Some(Lab { host, outside })
}

/// A namespace whose `lo` was never up: it can send to loopback addresses by another link.
fn without_loopback() -> Sandbox {
    let made = thread::spawn(|| {
        #[allow(deprecated, reason = "the other form differs in its name only")]
        rustix::thread::unshare(UnshareFlags::NEWNET).unwrap();
        let thread = rustix::thread::gettid().as_raw_nonzero();
        Sandbox::at(format!("/proc/{}/task/{thread}/ns/net", std::process::id()).into()).unwrap()
    });
    made.join().unwrap()
}

/// Writes a setting of the namespace that this thread is in.
pub(crate) fn write(setting: &str, value: &str) {
    fs::write(format!("/proc/sys/net/{setting}"), value).unwrap();
}

/// Shows the firewall what bridges switch, or does not; false, and it is told, where the kernel cannot.
pub(crate) fn can_filter_bridges(value: &str) -> bool {
    let can = fs::exists("/proc/sys/net/bridge/bridge-nf-call-iptables").unwrap();
    if can {
        write("bridge/bridge-nf-call-iptables", value);
        write("bridge/bridge-nf-call-ip6tables", value);
    } else if value == "1" {
        println!("skipped: this kernel shows the firewall nothing of what bridges switch");
    }
    can || value == "0"
}

fn join(from: &mut Sandbox, master: Option<Index>, here: &End<'_>, to: &mut Sandbox, there: &End<'_>) {
    let namespace = to.as_fd();
    let pair = Pair { name: here.name, master, peer: there.name, namespace, mac: None, mtu: None };
    from.links().add_pair(&pair).unwrap();
    if master.is_none() {
        let end = from.links().find(here.name).unwrap().unwrap().index;
        from.links().configure(end, &here.addresses, &[]).unwrap();
    }
    let end = to.links().find(there.name).unwrap().unwrap().index;
    to.links().configure(end, &there.addresses, &[]).unwrap();
}

fn gateways(sandbox: &mut Sandbox, gateways: [&str; 2]) {
    let end = sandbox.links().find("eth0").unwrap().unwrap().index;
    let routes = gateways.map(|gateway| Route {
        destination: None,
        gateway: Some(gateway.parse().unwrap()),
        link: Some(end),
        metric: 0,
    });
    sandbox.links().configure(end, &[], &routes).unwrap();
}

impl Lab {
    /// Changes a link of the host.
    pub(crate) fn change(&mut self, name: &str, change: &Change<'_>) {
        let link = self.host.links().find(name).unwrap().unwrap().index;
        self.host.links().change(link, change).unwrap();
    }

    /// Network `number`: the bridge `br<number>` with 10.<number>.0.1/24 and fd0<number>::1/64.
    pub(crate) fn network(&mut self, number: u8) -> Network {
        let name = format!("br{number}");
        let subnets = [address(&format!("10.{number}.0.1"), 24), address(&format!("fd0{number}::1"), 64)];
        let bridge = self.host.links().add_bridge(&name, [2, 0, 0, 0, 1, number], None, "").unwrap();
        self.host.links().configure(bridge, &subnets, &[]).unwrap();
        Network {
            bridge: name,
            subnets: subnets.into(),
            reach: Reach::Outside,
            neighbours: Neighbours::Talk,
            four: Face::default(),
            six: Face::default(),
            trusted: Vec::new(),
            annex: false,
        }
    }

    /// A container of a network: 10.<network>.0.<number> and fd0<network>::<number>.
    pub(crate) fn container(&mut self, network: u8, number: u8) -> Sandbox {
        let mut container = without_loopback();
        let bridge = self.host.links().find(&format!("br{network}")).unwrap().unwrap().index;
        let four = address(&format!("10.{network}.0.{number}"), 24);
        let six = address(&format!("fd0{network}::{number}"), 64);
        let name = format!("veth{network}.{number}");
        let here = End { name: &name, addresses: [four, six] };
        let there = End { name: "eth0", addresses: [four, six] };
        join(&mut self.host, Some(bridge), &here, &mut container, &there);
        self.change(&name, &Change { hairpin: Some(true), ..Change::default() });
        gateways(&mut container, [&format!("10.{network}.0.1"), &format!("fd0{network}::1")]);
        container
    }
}

/// One port, published on all addresses of a family.
pub(crate) fn port(protocol: Protocol, first: u16, container: &str, inside: u16) -> Port {
    let container: IpAddr = container.parse().unwrap();
    let network = match container {
        IpAddr::V4(address) => address.octets()[1],
        IpAddr::V6(address) => address.octets()[1],
    };
    Port { protocol, host: None, first, count: 1, container, inside, bridge: format!("br{network}") }
}

/// Runs `deed` on a thread that has moved into a namespace.
pub(crate) fn within<T: Send>(sandbox: &Sandbox, deed: impl FnOnce() -> T + Send) -> T {
    let namespace = sandbox.as_fd();
    thread::scope(|scope| {
        let moved = scope.spawn(move || {
            move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network)).unwrap();
            deed()
        });
        moved.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Serves at a port of all addresses, for ever: the answer is `name`, and who asks.
pub(crate) fn serve(sandbox: &Sandbox, protocol: Protocol, port: u16, name: &'static str) {
    let address = SocketAddr::new("::".parse().unwrap(), port);
    match protocol {
        Protocol::Tcp => {
            let listener = within(sandbox, || TcpListener::bind(address).unwrap());
            thread::spawn(move || {
                while let Ok((mut stream, peer)) = listener.accept() {
                    let _ = write!(stream, "{name} {}", peer.ip().to_canonical());
                }
            });
        }
        _ => {
            let socket = within(sandbox, || UdpSocket::bind(address).unwrap());
            thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok((_, peer)) = socket.recv_from(&mut buffer) {
                    let _ = socket.send_to(format!("{name} {}", peer.ip().to_canonical()).as_bytes(), peer);
                }
            });
        }
    }
}

/// Asks a server, of which it is not certain that it is reached.
pub(crate) fn ask(sandbox: &Sandbox, protocol: Protocol, address: &str, port: u16) -> io::Result<String> {
    ask_for(PATIENCE, sandbox, protocol, (address, port))
}

/// Asks a server, and waits so long: no datagram is sent twice, so one that is lost is never answered.
pub(crate) fn ask_for(
    patience: Duration,
    sandbox: &Sandbox,
    protocol: Protocol,
    (address, port): (&str, u16),
) -> io::Result<String> {
    let address = SocketAddr::new(address.parse().unwrap(), port);
    within(sandbox, || match protocol {
        Protocol::Tcp => {
            let mut stream = TcpStream::connect_timeout(&address, patience)?;
            stream.set_read_timeout(Some(patience))?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        }
        _ => {
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.set_read_timeout(Some(patience))?;
            socket.connect(address)?;
            talk(&socket)
        }
    })
}

/// All of these ask in vain, at the same time.
pub(crate) fn nobody_reaches(closed: &[(&Sandbox, Protocol, &str, u16)]) {
    thread::scope(|scope| {
        for (from, protocol, to, port) in closed {
            scope.spawn(move || {
                let answer = ask(from, *protocol, to, *port);
                assert!(answer.is_err(), "{to} port {port}/{protocol} is reached: {answer:?}");
            });
        }
    });
}

/// One question and its answer.
pub(crate) fn talk(socket: &UdpSocket) -> io::Result<String> {
    let mut buffer = [0; 64];
    socket.send(b"?")?;
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Runs nft; nothing, and it is told, where there is none.
pub(crate) fn nft(sandbox: &Sandbox, arguments: &[&str], input: &str) -> Option<Output> {
    within(sandbox, || {
        let mut command = Command::new("/usr/sbin/nft");
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match command.spawn() {
            Ok(mut child) => {
                child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
                Some(child.wait_with_output().unwrap())
            }
            Err(error) => {
                println!("skipped: nft cannot be run: {error}");
                None
            }
        }
    })
}

/// From here on, `sandbox` sends what is for 127.0.0.0/8 to a host instead of to itself.
pub(crate) fn send_loopback_to(sandbox: &mut Sandbox, gateway: &str) {
    let end = sandbox.links().find("eth0").unwrap().unwrap().index;
    within(sandbox, || write("ipv4/conf/all/route_localnet", "1"));
    let route = Route {
        destination: Some(address("127.0.0.0", 8)),
        gateway: Some(gateway.parse().unwrap()),
        link: Some(end),
        metric: 0,
    };
    sandbox.links().configure(end, &[], &[route]).unwrap();
}

/// From here on, `sandbox` sends what is for ::1 to a host.
pub(crate) fn send_loopback6_to(sandbox: &mut Sandbox, gateway: &str) {
    let end = sandbox.links().find("eth0").unwrap().unwrap().index;
    let gateway = Some(gateway.parse().unwrap());
    let route = Route { destination: Some(address("::1", 128)), gateway, link: Some(end), metric: 0 };
    sandbox.links().configure(end, &[], &[route]).unwrap();
}

/// A socket that sends and takes whole packets of SCTP.
pub(crate) fn raw_sctp() -> OwnedFd {
    let protocol = Protocol_::from_raw(RawProtocol::new(132).unwrap());
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol))
            .unwrap();
    rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).unwrap();
    socket
}

pub(crate) fn send_raw(socket: &OwnedFd, to: &str, packet: &[u8]) {
    let to = SocketAddr::new(to.parse().unwrap(), 0);
    rustix::net::sendto(socket, packet, SendFlags::empty(), &to).unwrap();
}

/// One packet, with its header.
pub(crate) fn receive_raw(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 256];
    let (length, _) = rustix::net::recv(socket, &mut buffer[..], RecvFlags::empty())?;
    Ok(buffer[..length].to_vec())
}

/// The packet that begins an association (RFC 9260, 3.3.2).
pub(crate) fn sctp_init(from: u16, to: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(from.to_be_bytes());
    packet.extend(to.to_be_bytes());
    packet.extend([0; 8]);
    packet.extend([1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    let sum = checksum(&packet);
    packet[8..12].copy_from_slice(&sum.to_le_bytes());
    packet
}

/// CRC32c.
fn checksum(bytes: &[u8]) -> u32 {
    let shift = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| shift(sum)))
}
