"""Containers as docker-py's users know them: run, look, stop, clean up."""

import os

import docker
import requests
from docker import errors
from docker.types import LogConfig, Mount, Ulimit
from stories import refused, tar_of, tell, until, untar


def story_run_answers_the_output_and_raises_what_failed(client):
    assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
    both = client.containers.run("busybox", ["sh", "-c", "echo out; echo err >&2"], stdout=True, stderr=True)
    assert sorted(both.splitlines()) == [b"err", b"out"]
    failed = refused(errors.ContainerError, "exit status 7", lambda: client.containers.run("busybox", "sh -c 'echo no >&2; exit 7'"))
    assert (failed.exit_status, failed.stderr) == (7, b"no\n")
    refused(errors.APIError, "executable file not found", lambda: client.containers.run("busybox", "nosuchprogram"))


def story_a_container_lives_through_all_its_states(client):
    api = client.api
    made = client.containers.create("busybox", "sleep 1000", name="life", labels={"a": "b"}, stop_signal="KILL")
    assert made.status == "created"
    made.start()
    made.reload()
    assert made.status == "running" and made.attrs["State"]["Pid"] > 0
    made.pause()
    made.reload()
    assert made.status == "paused"
    refused(errors.APIError, "is paused", lambda: made.exec_run("true"))
    made.unpause()
    made.rename("life2")
    refused(errors.APIError, "already in use", lambda: client.containers.create("busybox", name="life2"))
    titles = made.top()["Titles"]
    assert "PID" in titles and len(made.top(ps_args="-o pid,args")["Processes"]) == 1
    made.restart(timeout=0)
    refused(errors.APIError, "stop the container before removing", made.remove)
    made.stop()
    assert made.wait()["StatusCode"] == 137
    assert [c.name for c in client.containers.list(all=True, filters={"label": "a=b", "status": "exited"})] == ["life2"]
    made.remove()
    refused(errors.NotFound, "No such container", lambda: client.containers.get("life2"))
    assert api.containers(all=True, filters={"name": "life"}) == []


def story_wait_ends_with_each_condition(client):
    container = client.containers.create("busybox", "true")
    container.start()
    assert container.wait() == {"StatusCode": 0, "Error": None}
    assert container.wait(condition="not-running")["StatusCode"] == 0
    sleeper = client.containers.run("busybox", "sleep 1000", detach=True)
    try:
        sleeper.wait(timeout=0.3)
        raise AssertionError("it runs")
    except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError):
        pass
    sleeper.kill()
    assert sleeper.wait()["StatusCode"] == 137


def story_limits_and_settings_are_in_the_kernel_and_in_the_inspection(client):
    host = dict(
        mem_limit="32m", cpu_shares=512, pids_limit=50, cap_drop=["ALL"], cap_add=["NET_BIND_SERVICE"],
        ulimits=[Ulimit(name="nofile", soft=100, hard=200)], read_only=True, tmpfs={"/scratch": "size=1m"},
        extra_hosts={"peer": "10.1.2.3"}, dns=["10.9.9.9"], hostname="named", working_dir="/tmp",
        environment={"A": "b", "EMPTY": "", "GONE": None}, user="1000:29", oom_score_adj=500,
        security_opt=["no-new-privileges"], sysctls={"net.ipv4.ip_forward": "1"}, network_mode="none",
        log_config=LogConfig(type="json-file", config={"max-size": "1m", "max-file": "2"}), shm_size="2m",
    )
    script = (
        "ulimit -n; id -u; id -g; hostname; pwd; grep -c 10.1.2.3 /etc/hosts; cat /etc/resolv.conf;"
        "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; cat /proc/self/oom_score_adj;"
        "cat /proc/sys/net/ipv4/ip_forward; df -k /dev/shm | tail -1 | awk '{print $2}'; touch /x 2>&1; env"
    )
    container = client.containers.run("busybox", ["sh", "-c", script], detach=True, **host)
    assert container.wait()["StatusCode"] == 0
    said = container.logs().decode().splitlines()
    for line in [
        "100", "1000", "29", "named", "/tmp", "nameserver 10.9.9.9", "CapBnd:\t0000000000000400",
        "CapEff:\t0000000000000000", "NoNewPrivs:\t1", "500", "1", "2048", "A=b", "EMPTY=",
        "touch: /x: Read-only file system",
    ]:
        assert line in said, f"{line!r} is not in {said}"
    assert not any(line.startswith("GONE") for line in said)
    shown = container.attrs["HostConfig"]
    assert (shown["Memory"], shown["CpuShares"], shown["PidsLimit"]) == (32 << 20, 512, 50)
    assert shown["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}
    assert "GONE" in container.attrs["Config"]["Env"]


def story_files_go_in_and_out(client):
    container = client.containers.create("busybox", "sh -c 'cat /in/a; cat /in/b'")
    assert container.put_archive("/", tar_of({"in/a": b"one\n", "in/b": b"two\n"}))
    container.start()
    container.wait()
    assert container.logs() == b"one\ntwo\n"
    pieces, stat = container.get_archive("/in/a")
    assert (stat["name"], stat["size"]) == ("a", 4)
    assert untar(pieces) == {"a": b"one\n"}
    assert {"Path": "/in", "Kind": 1} in container.diff()
    assert untar(container.export())["in/b"] == b"two\n"
    refused(errors.NotFound, "Could not find the file /nosuch", lambda: container.get_archive("/nosuch"))


def story_logs_are_cut_dated_and_followed(client):
    container = client.containers.run("busybox", "sh -c 'for i in 1 2 3; do echo $i; sleep 0.1; done'", detach=True)
    assert b"".join(container.logs(stream=True, follow=True)) == b"1\n2\n3\n"
    assert container.logs(tail=1) == b"3\n"
    assert container.logs(stdout=False, stderr=True) == b""
    time, line = container.logs(timestamps=True, tail=1).split(b" ")
    assert line == b"3\n" and time.endswith(b"Z")
    assert container.logs(since=2**31) == b""


def story_volumes_and_binds_keep_what_is_written(client):
    volume = client.volumes.create(name="kept", labels={"x": "y"})
    mounts = [Mount("/data", "kept"), Mount("/t", None, type="tmpfs", tmpfs_size=1 << 20)]
    client.containers.run("busybox", "sh -c 'echo kept >/data/f; touch /t/f'", mounts=mounts, remove=True)
    read = client.containers.run("busybox", "cat /data/f", volumes={"kept": {"bind": "/data", "mode": "ro"}}, remove=True)
    assert read == b"kept\n"
    refused(errors.ContainerError, "Read-only", lambda: client.containers.run("busybox", "touch /data/g", volumes=["kept:/data:ro"], remove=True))
    assert [v.name for v in client.volumes.list(filters={"label": "x=y"})] == ["kept"]
    user = client.containers.create("busybox", volumes=["kept:/data"])
    refused(errors.APIError, "volume is in use", volume.remove)
    user.remove()
    volume.remove()
    refused(errors.NotFound, "no such volume", lambda: client.volumes.get("kept"))


def story_events_tell_what_happened(client):
    events = client.events(decode=True, filters={"type": "container"})
    container = client.containers.run("busybox", "true", detach=True, name="told", labels={"k": "v"})
    container.wait()
    container.remove()
    seen = []
    for event in events:
        assert event["Actor"]["Attributes"]["name"] == "told" and event["Actor"]["Attributes"]["k"] == "v"
        seen.append(event["Action"])
        if event["Action"] == "destroy":
            break
    events.close()
    assert seen[:3] + seen[-2:] == ["create", "start", "die", "die", "destroy"] or seen == ["create", "start", "die", "destroy"], seen


def story_what_is_not_there_has_its_own_error(client):
    refused(errors.ImageNotFound, "No such image: nosuch", lambda: client.images.get("nosuch"))
    refused(errors.NotFound, "No such container: nosuch", lambda: client.containers.get("nosuch"))
    refused(errors.NotFound, "No such exec instance", lambda: client.api.exec_inspect("nosuch"))
    refused(errors.APIError, "joining network namespace", lambda: client.containers.run("busybox", "true", network_mode="container:nosuch"))
    published = client.containers.run("busybox", ["sleep", "1000"], ports={"80/tcp": 8080}, detach=True)
    published.reload()
    assert published.ports == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]}, published.ports
    refused(errors.APIError, "port is already allocated", lambda: client.containers.run("busybox", "true", ports={"80/tcp": 8080}))
    published.remove(force=True)


def story_a_container_that_removes_itself_is_gone(client):
    container = client.containers.run("busybox", "sleep 0.2", detach=True, auto_remove=True)
    container.wait(condition="removed")
    until(lambda: not client.api.containers(all=True, filters={"id": container.id}), "its removal")


def story_the_engine_tells_what_it_is(client):
    assert client.ping() is True
    version, info = client.version(), client.info()
    assert version["ApiVersion"] == "1.56" and version["MinAPIVersion"] == "1.24"
    assert info["OSType"] == "linux" and info["Images"] == 1
    for spoken in ("1.24", "1.41", "1.56"):
        old = docker.APIClient(base_url=os.environ["DOCKER_HOST"], version=spoken)
        assert old.version()["Os"] == "linux" and old.containers() == []
        old.close()


if __name__ == "__main__":
    tell(globals())
