import { expect, test } from 'bun:test';
import { isUsable, nameInMemory } from './memory-folder.mjs';

const MOUNT = 'tmpfs /dev/shm tmpfs rw,nosuid,nodev,size=8388608k 0 0';

test.each([
  ['in memory', `proc /proc proc rw 0 0\n${MOUNT}\n`, true],
  ['where no program runs', MOUNT.replace('nodev', 'nodev,noexec'), false],
  ['that is read only', MOUNT.replace('rw', 'ro'), false],
  ['on a disc', MOUNT.replace(' tmpfs rw', ' ext4 rw'), false],
  ['of another folder', MOUNT.replace('/dev/shm', '/dev/shm/other'), false],
  ['under one on a disc', `${MOUNT}\n${MOUNT.replace(' tmpfs rw', ' ext4 rw')}\n`, false],
  ['that is not there', '', false],
])('a mount %s: whether tests may keep their files there', (_, mounts, usable) => {
  expect(isUsable(mounts, '/dev/shm')).toBe(usable);
});

test('each user, and each folder for temporary files, has one in memory', () => {
  const names = [nameInMemory('/tmp', 0), nameInMemory('/tmp', 1), nameInMemory('/tmp/run', 0)];
  expect(new Set(names).size).toBe(names.length);
  expect(names[0]).toBe('/dev/shm/execution-engine-tests-0-tmp');
});
