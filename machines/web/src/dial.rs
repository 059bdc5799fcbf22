//! A connection to a server: its addresses, the proxy between, TLS.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use dhow_model::ports::LookUp;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::trust;
use crate::url::Url;
use crate::way::{Proxy, Way};
use crate::words::{self, Failure};

const HOSTS: &str = "/etc/hosts";
/// What is read of it.
const LARGEST: u64 = 1 << 20;
/// The longest head of a proxy's answer.
const LONGEST_HEAD: usize = 16 * 1024;

/// What HTTP is spoken on.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Where the server of a URL listens, the preferred place first. Blocks while its name is looked up.
pub(crate) fn places(url: &Url, look_up: LookUp<'_>) -> Result<Vec<SocketAddr>, Failure> {
    let found = addresses(url.host(), look_up)?;
    Ok(found.into_iter().map(|address| SocketAddr::new(address, url.port())).collect())
}

fn addresses(host: &str, look_up: LookUp<'_>) -> Result<Vec<IpAddr>, Failure> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let mut hosts = String::new();
    // Without the file its names are nobody's.
    let _ = File::open(HOSTS).and_then(|file| file.take(LARGEST).read_to_string(&mut hosts));
    let known = find(&hosts, host);
    if !known.is_empty() {
        return Ok(known);
    }
    if host == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let words = |why: &str| format!("dial tcp: lookup {host}: {why}");
    let found = look_up(host).map_err(|error| Failure::other(words(&error.report())))?;
    if found.is_empty() {
        return Err(Failure::unknown_host(words("no such host")));
    }
    Ok(found)
}

fn find(hosts: &str, name: &str) -> Vec<IpAddr> {
    let of_line = |line: &str| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    hosts.lines().filter_map(of_line).collect()
}

/// Opens what a request is sent on.
pub(crate) async fn open(way: &Way, url: &Url, places: &[SocketAddr]) -> Result<Box<dyn Stream>, Failure> {
    let next = way.next(url);
    let mut stream: Box<dyn Stream> = Box::new(connect(places).await?);
    if next.is_secure() {
        stream = secure(stream, next.host()).await?;
    }
    if let Way::Tunnel(proxy) = way {
        tunnel(&mut stream, proxy, url).await?;
        stream = secure(stream, url.host()).await?;
    }
    Ok(stream)
}

async fn connect(places: &[SocketAddr]) -> Result<TcpStream, Failure> {
    let mut failure = None;
    for place in places {
        match TcpStream::connect(place).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = failure.or_else(|| Some(Failure::dial(place, &error))),
        }
    }
    Err(failure.unwrap_or_else(|| Failure::other("dial tcp: no address")))
}

async fn secure(stream: Box<dyn Stream>, host: &str) -> Result<Box<dyn Stream>, Failure> {
    let name = ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| Failure::other(format!("tls: {host:?} is no name of a server")))?;
    let connector = TlsConnector::from(trust::client()?);
    let secured = connector.connect(name, stream).await.map_err(|error| words::tls(&error, host))?;
    Ok(Box::new(secured))
}

/// Asks a proxy for a connection to the server of `url` (RFC 9110, 9.3.6).
async fn tunnel(stream: &mut Box<dyn Stream>, proxy: &Proxy, url: &Url) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::other(format!("proxyconnect tcp: {}", words::system(&error)));
    let host = if url.host().contains(':') { format!("[{}]", url.host()) } else { url.host().to_owned() };
    let server = format!("{host}:{}", url.port());
    let mut head = format!("CONNECT {server} HTTP/1.1\r\nHost: {server}\r\n").into_bytes();
    if let Some(user) = proxy.user() {
        head.extend_from_slice(&[b"Proxy-Authorization: ", user.as_bytes(), b"\r\n"].concat());
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let answer = read_head(stream).await.map_err(failed)?;
    let line = answer.lines().next().unwrap_or_default();
    // The version, the status, and what it means.
    let mut parts = line.splitn(3, ' ').skip(1);
    match (parts.next(), parts.next()) {
        (Some("200"), _) => Ok(()),
        (Some(_), Some(reason)) if !reason.is_empty() => Err(Failure::other(reason)),
        _ => Err(Failure::other(format!("proxyconnect tcp: malformed HTTP response {line:?}"))),
    }
}

/// No byte behind the head is taken: it is the server's.
async fn read_head(stream: &mut Box<dyn Stream>) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == LONGEST_HEAD {
            return Err(io::Error::other("the proxy's answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_looked_up_where_the_hosts_file_has_none() {
        let hosts = "127.0.0.1 localhost\n::1 localhost # two\n192.0.2.2 NAS.example nas # old\n";
        assert_eq!(find(hosts, "localhost").len(), 2);
        assert_eq!(find(hosts, "Nas"), ["192.0.2.2".parse::<IpAddr>().unwrap()]);
        assert!(find(hosts, "old").is_empty());
        assert_eq!(addresses("::1", &|_| panic!()).unwrap(), [IpAddr::from(Ipv6Addr::LOCALHOST)]);
        let found = addresses("dhow.example", &|_| Ok(vec![[192, 0, 2, 3].into()])).unwrap();
        assert_eq!(found, [IpAddr::from([192, 0, 2, 3])]);
        assert!(addresses("dhow.example", &|_| Ok(Vec::new())).is_err());
    }
}
