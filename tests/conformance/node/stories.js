// dockerode against the engine: each function is a story; the program fails when one of them does.
'use strict';

const assert = require('node:assert/strict');
const { PassThrough } = require('node:stream');
const Docker = require('dockerode');

const docker = new Docker({ socketPath: process.env.DOCKER_HOST.replace('unix://', '') });

/** Gathers what comes until the end. */
async function text(stream) {
  const pieces = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

/** A sink for a demultiplexed stream. */
function sink() {
  const stream = new PassThrough();
  stream.said = '';
  stream.on('data', (piece) => { stream.said += piece; });
  return stream;
}

const ended = (stream) => new Promise((resolve, reject) => {
  stream.on('end', resolve).on('close', resolve).on('error', reject);
});

async function refused(status, words, promise) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.statusCode, status, error.message);
    assert.match(error.message, words);
    return true;
  });
}

const stories = {
  async run_answers_output_and_status() {
    const out = sink();
    const [result, container] = await docker.run('busybox', ['sh', '-c', 'echo hello; exit 3'], out, { Tty: true });
    assert.equal(result.StatusCode, 3);
    assert.equal(out.said, 'hello\r\n');
    await container.remove();
  },

  async streams_are_kept_apart() {
    const [out, error] = [sink(), sink()];
    await docker.run('busybox', ['sh', '-c', 'echo out; echo err >&2'], [out, error], { Tty: false });
    assert.deepEqual([out.said, error.said], ['out\n', 'err\n']);
  },

  async what_is_typed_is_read_and_the_end_of_input_is_told() {
    const container = await docker.createContainer({
      Image: 'busybox', Cmd: ['sh', '-c', 'cat; echo end'], OpenStdin: true, StdinOnce: true,
      AttachStdin: true, AttachStdout: true,
    });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const [out, error] = [sink(), sink()];
    docker.modem.demuxStream(stream, out, error);
    await container.start();
    const end = ended(stream);
    stream.write('typed\n');
    stream.end();
    await end;
    assert.equal(out.said, 'typed\nend\n');
    assert.equal((await container.wait()).StatusCode, 0);
  },

  async an_exec_answers_the_first_word_and_the_status() {
    const container = await docker.createContainer({ Image: 'busybox', Cmd: ['sleep', '1000'] });
    await container.start();
    for (let round = 0; round < 20; round += 1) {
      const exec = await container.exec({ Cmd: ['sh', '-c', 'echo word; exit 4'], AttachStdout: true, AttachStderr: true });
      const stream = await exec.start({ hijack: true, stdin: false });
      const out = sink();
      docker.modem.demuxStream(stream, out, sink());
      await ended(stream);
      assert.equal(out.said, 'word\n');
      assert.equal((await exec.inspect()).ExitCode, 4);
    }
    const typed = await container.exec({ Cmd: ['sh', '-c', 'read a; echo got $a'], AttachStdin: true, AttachStdout: true, Tty: true });
    const terminal = await typed.start({ hijack: true, stdin: true, Tty: true });
    terminal.write('this\n');
    assert.match(await text(terminal), /got this/);
    await container.stop({ t: 0 });
    await refused(409, /is not running/, container.exec({ Cmd: ['true'] }));
  },

  async files_logs_and_changes() {
    const container = await docker.createContainer({ Image: 'busybox', Cmd: ['sh', '-c', 'echo 1; echo 2; echo x >/new'] });
    await container.start();
    await container.wait();
    const logs = await container.logs({ stdout: true, stderr: true, tail: 1 });
    assert.equal(logs.subarray(8).toString(), '2\n');
    assert.deepEqual(await container.changes(), [{ Path: '/new', Kind: 1 }]);
    const archive = await text(await container.getArchive({ path: '/new' }));
    await container.putArchive(Buffer.from(archive, 'binary'), { path: '/tmp' });
    const copied = await text(await container.getArchive({ path: '/tmp/new' }));
    assert.ok(copied.includes('new\0'), 'a tar with that file');
    await refused(404, /Could not find the file/, container.getArchive({ path: '/nosuch' }));
    const followed = await container.logs({ follow: true, stdout: true, stderr: true });
    assert.match(await text(followed), /1\n/);
  },

  async events_are_lines_and_end_with_until() {
    const since = Math.floor(Date.now() / 1000) - 1;
    const events = await docker.getEvents({ filters: { container: ['told'], event: ['create', 'destroy'] }, since });
    const first = new Promise((resolve) => {
      let said = '';
      events.on('data', (piece) => {
        said += piece;
        if (said.split('\n').filter(Boolean).length === 2) resolve(said);
      });
    });
    const container = await docker.createContainer({ Image: 'busybox', name: 'told' });
    await container.remove();
    const lines = (await first).trim().split('\n').map((line) => JSON.parse(line));
    assert.deepEqual(lines.map((event) => [event.Type, event.Action]), [['container', 'create'], ['container', 'destroy']]);
    events.destroy();
    const past = await docker.getEvents({ since, until: Math.floor(Date.now() / 1000) + 1, filters: { container: ['told'] } });
    assert.ok((await text(past)).includes('destroy'));
  },

  async images_are_saved_loaded_tagged_and_committed() {
    const image = docker.getImage('busybox');
    await image.tag({ repo: 'other', tag: '1' });
    const saved = await text(await docker.getImage('other:1').get());
    assert.match(saved, /manifest\.json/);
    await docker.getImage('other:1').remove();
    await refused(404, /No such image/, docker.getImage('other:1').inspect());
    const container = await docker.createContainer({ Image: 'busybox', Cmd: ['true'] });
    const { Id } = await container.commit({ repo: 'made', tag: '2', comment: 'why', Env: ['A=b'] });
    const made = await docker.getImage('made:2').inspect();
    assert.equal(made.Id, Id);
    assert.ok(made.Config.Env.includes('A=b'));
    assert.equal((await docker.getImage('made:2').history())[0].Comment, 'why');
    await docker.getImage('made:2').remove({ force: true });
  },

  async ports_are_published_and_shown() {
    const HostConfig = { PortBindings: { '80/tcp': [{ HostPort: '8080' }] }, AutoRemove: true };
    const container = await docker.createContainer({ Image: 'busybox', Cmd: ['sleep', '1000'], HostConfig });
    await container.start();
    const { Ports, Networks } = (await container.inspect()).NetworkSettings;
    assert.deepEqual(Ports['80/tcp'], [{ HostIp: '0.0.0.0', HostPort: '8080' }]);
    assert.match(Networks.bridge.IPAddress, /^172\.17\./);
    await container.remove({ force: true });
  },

  async what_is_not_served_is_refused_by_name() {
    const body = (HostConfig) => ({ Image: 'busybox', HostConfig });
    await refused(501, /HostConfig\.Cgroup is not supported yet/, docker.createContainer(body({ Cgroup: 'container:x' })));
    await refused(404, /No such image: nosuch/, docker.createContainer({ Image: 'nosuch' }));
    await refused(501, /registries are not supported yet/, docker.pull('nosuch:1'));
  },
};

async function main() {
  let failed = 0;
  for (const [name, story] of Object.entries(stories)) {
    const limit = new Promise((_, reject) => { setTimeout(reject, 30000, new Error('it does not end')).unref(); });
    try {
      await Promise.race([story(), limit]);
      console.log(`ok      ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack}`);
    }
    const left = await docker.listContainers({ all: true });
    await Promise.all(left.map(({ Id }) => docker.getContainer(Id).remove({ force: true, v: true })));
  }
  process.exit(failed ? 1 : 0);
}

main();
