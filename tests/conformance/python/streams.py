"""Exec and attach: connections that stop being HTTP, as docker-py takes them over."""

import socket
import time

from docker import errors
from docker.utils.socket import frames_iter, next_frame_header, read_exactly
from stories import refused, tell, until


def sleeper(client, **settings):
    return client.containers.run("busybox", "cat", detach=True, stdin_open=True, **settings)


def raw(attached):
    """The socket below docker-py's."""
    return getattr(attached, "_sock", attached)


def story_nothing_of_an_execs_first_words_is_lost(client):
    # docker-py reads the head through a buffer and then talks to the bare socket: what came in the same
    # read as the head was lost.
    container = sleeper(client)
    for _ in range(40):
        said = container.exec_run("echo first words")
        assert tuple(said) == (0, b"first words\n"), said


def story_an_exec_has_its_own_user_directory_and_environment(client):
    container = sleeper(client)
    said = container.exec_run(["sh", "-c", "id -u; pwd; echo $A; exit 3"], user="web", workdir="/tmp", environment={"A": "b"})
    assert (said.exit_code, said.output) == (3, b"1000\n/tmp\nb\n")
    assert container.exec_run("grep CapEff /proc/self/status", privileged=True).output != container.exec_run("grep CapEff /proc/self/status").output
    assert container.exec_run("nosuchprogram").exit_code == 127
    assert container.exec_run("/etc").exit_code == 126


def story_streams_are_kept_apart(client):
    container = sleeper(client)
    _, (out, err) = container.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True)
    assert (out, err) == (b"out\n", b"err\n")
    _, stream = container.exec_run(["sh", "-c", "echo a; sleep 0.2; echo b"], stream=True)
    assert b"".join(stream) == b"a\nb\n"


def story_an_exec_is_started_in_another_form_than_it_was_created(client):
    # The terminal is the process's; whether there are frames is the client's choice.
    container = sleeper(client)
    made = client.api.exec_create(container.id, ["printf", "with frames"], tty=True)
    connection = raw(client.api.exec_start(made, socket=True))
    assert next_frame_header(connection) == (1, 11)
    assert read_exactly(connection, 11) == b"with frames"
    connection.close()
    made = client.api.exec_create(container.id, ["sh", "-c", "echo raw; echo lost >&2"])
    assert client.api.exec_start(made, tty=True) == b"raw\n"


def story_standard_input_is_closed_alone(client):
    container = sleeper(client)
    made = client.api.exec_create(container.id, ["sh", "-c", "cat; echo end"], stdin=True)
    connection = raw(client.api.exec_start(made, socket=True))
    connection.sendall(b"typed\n")
    connection.shutdown(socket.SHUT_WR)
    said = b"".join(data for _, data in frames_iter(connection, tty=False))
    assert said == b"typed\nend\n"
    until(lambda: not client.api.exec_inspect(made)["Running"], "the end of the exec")
    assert client.api.exec_inspect(made)["ExitCode"] == 0


def story_a_terminal_is_resized_and_detached_from(client):
    container = sleeper(client)
    made = client.api.exec_create(container.id, ["sh", "-c", "stty size; cat"], stdin=True, tty=True)
    connection = raw(client.api.exec_start(made, tty=True, socket=True))
    until(lambda: client.api.exec_inspect(made)["Running"], "the exec")
    client.api.exec_resize(made, height=33, width=77)
    connection.sendall(b"\x10\x11")
    connection.settimeout(15)
    while connection.recv(4096):
        pass
    assert client.api.exec_inspect(made)["Running"], "it was detached from, not ended"


def story_attach_reads_what_a_container_writes_from_its_first_word(client):
    container = client.containers.create("busybox", "sh -c 'echo one; read line; echo got $line'", stdin_open=True)
    connection = raw(container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}))
    container.start()
    connection.sendall(b"two\n")
    said = b"".join(data for _, data in frames_iter(connection, tty=False))
    assert said == b"one\ngot two\n", said
    assert container.wait()["StatusCode"] == 0
    assert container.attach(logs=True, stream=False) == b"one\ngot two\n"


def story_attach_streams_until_the_end(client):
    container = client.containers.run("busybox", "sh -c 'sleep 0.3; echo late; exit 5'", detach=True)
    assert b"".join(container.attach(stream=True)) == b"late\n"
    assert container.wait()["StatusCode"] == 5


def story_an_exec_that_cannot_be_is_refused(client):
    container = sleeper(client)
    made = client.api.exec_create(container.id, ["true"])
    client.api.exec_start(made)
    refused(errors.APIError, "has already", lambda: client.api.exec_start(made))
    refused(errors.APIError, "No exec command specified", lambda: client.api.exec_create(container.id, []))
    container.kill()
    container.wait()
    refused(errors.APIError, "is not running", lambda: client.api.exec_create(container.id, ["true"]))


def story_a_detached_exec_goes_on_alone(client):
    container = sleeper(client)
    container.exec_run("touch /done", detach=True)
    begun = time.monotonic()
    while container.exec_run("test -e /done").exit_code:
        assert time.monotonic() - begun < 15


if __name__ == "__main__":
    tell(globals())
