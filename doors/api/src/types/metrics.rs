//! Metrics in the text format of Prometheus, by the names that dockerd has, and some of our own.

use std::fmt::{Display, Write as _};

use dhow_engine::metrics::{BUCKETS, Histogram, Metrics};

use super::inspect::DRIVER;
use super::system::{COMMIT, go_architecture};

/// The media type of the format.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All of them.
pub(crate) fn text(metrics: &Metrics<'_>) -> String {
    let mut page = Page::default();
    containers(&mut page, metrics);
    engine(&mut page, metrics);
    ours(&mut page, metrics);
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn histogram(&mut self, name: &str, action: &str, histogram: &Histogram) {
        let mut below = 0;
        for (bound, count) in BUCKETS.iter().zip(histogram.buckets) {
            below += count;
            self.sample(&format!("{name}_bucket"), &[("action", action), ("le", &bound.to_string())], below);
        }
        self.sample(&format!("{name}_bucket"), &[("action", action), ("le", "+Inf")], histogram.count);
        self.sample(&format!("{name}_sum"), &[("action", action)], histogram.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), &[("action", action)], histogram.count);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn containers(page: &mut Page, metrics: &Metrics<'_>) {
    let name = "engine_daemon_container_actions_seconds";
    page.family(name, "histogram", "The number of seconds it takes to process each container action");
    for (action, histogram) in &metrics.actions {
        page.histogram(name, action, histogram);
    }
    let name = "engine_daemon_container_states_containers";
    page.family(name, "gauge", "The count of containers in various states");
    for (state, count) in &metrics.containers {
        page.sample(name, &[("state", state)], count);
    }
}

fn engine(page: &mut Page, metrics: &Metrics<'_>) {
    let (host, settings) = (metrics.host, &metrics.settings);
    let cpus = "The number of cpus that the host system of the engine has";
    page.one("engine_daemon_engine_cpus_cpus", "gauge", cpus, host.processors);
    let name = "engine_daemon_engine_info";
    page.family(name, "gauge", "The information related to the engine and the OS it is running on");
    let labels = [
        ("architecture", go_architecture(&host.architecture)),
        ("commit", COMMIT),
        ("daemon_id", &settings.id),
        ("graphdriver", DRIVER),
        ("kernel", &host.kernel),
        ("os", &host.operating_system),
        ("os_type", "linux"),
        ("os_version", &host.os_version),
        ("version", &settings.version),
    ];
    page.sample(name, &labels, 1);
    let memory = "The number of bytes of memory that the host system of the engine has";
    page.one("engine_daemon_engine_memory_bytes", "gauge", memory, host.memory);
    let listeners = "The number of current subscribers to events";
    page.one("engine_daemon_events_subscribers_total", "gauge", listeners, metrics.listeners);
    page.one("engine_daemon_events_total", "counter", "The number of events logged", metrics.events);
}

fn ours(page: &mut Page, metrics: &Metrics<'_>) {
    page.one("dhow_execs", "gauge", "Execs that run, or are to", metrics.execs);
    page.one("dhow_images", "gauge", "Images, named or not", metrics.images);
    page.one("dhow_volumes", "gauge", "Volumes", metrics.volumes);
    let own = &metrics.own;
    let time = "Total user and system CPU time spent in seconds.";
    page.one("process_cpu_seconds_total", "counter", time, own.processor_time.as_secs_f64());
    page.one("process_open_fds", "gauge", "Number of open file descriptors.", own.descriptors);
    page.one("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", own.memory);
    page.one("process_threads", "gauge", "Number of threads.", own.threads);
}
