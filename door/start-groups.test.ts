import { expect, test } from 'bun:test';
import { StartGroups } from './start-groups.ts';
import type { NewExecution } from './unit.ts';

function add(
  groups: StartGroups,
  workspaceId: string,
  count: number,
  { length = 2, alone = false } = {},
): void {
  const start = {
    row: { id: workspaceId, workspaceId, inputs: 'x'.repeat(length) },
  } as unknown as NewExecution;
  groups.add({ starts: Array.from({ length: count }, () => start), alone, settle: () => {} });
}

const workspaces = (taken: ReturnType<StartGroups['takeTogether']>) =>
  taken.map(({ starts }) => starts[0]!.row.workspaceId);

test('a commit takes a thousand starts, workspaces in turn', () => {
  const groups = new StartGroups();
  for (let at = 0; at < 10; at += 1) add(groups, 'busy', 400);
  add(groups, 'other', 1);
  expect(workspaces(groups.takeTogether(false))).toEqual(['busy', 'other', 'busy', 'busy']);
  expect(workspaces(groups.takeTogether(false))).toEqual(['busy', 'busy', 'busy']);
});

test('starts that are committed alone take turns too, and are not taken with others', () => {
  const groups = new StartGroups();
  for (let at = 0; at < 3; at += 1) add(groups, 'busy', 1, { alone: true });
  add(groups, 'other', 1, { alone: true });
  expect(groups.takeTogether(false)).toEqual([]);
  const order = [1, 2, 3, 4].map(() => groups.takeAlone(false)!.starts[0]!.row.workspaceId);
  expect(order).toEqual(['busy', 'other', 'busy', 'busy']);
  expect(groups.isEmpty).toBe(true);
});

test('starts with large inputs are taken apart, as far as a commit may hold them', () => {
  const groups = new StartGroups();
  for (let at = 0; at < 6; at += 1) add(groups, 'busy', 1, { length: 1024 * 1024 });
  add(groups, 'other', 1);
  expect(workspaces(groups.takeTogether(false))).toEqual(['other']);
  expect([1, 2, 3].map(() => groups.takeTogether(true).length)).toEqual([4, 2, 0]);
});
