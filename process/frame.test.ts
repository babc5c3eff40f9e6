import { expect, test } from 'bun:test';
import fc from 'fast-check';
import { cases } from '../tests/support/core/cases.ts';
import { encodeFrame, FrameReader } from './frame.ts';

test('frames come out whole and in order however the stream is cut', () => {
  const frames = fc.array(fc.tuple(fc.jsonValue(), fc.string({ unit: 'grapheme' })), {
    minLength: 1,
    maxLength: 5,
  });
  const property = fc.property(frames, fc.infiniteStream(fc.integer({ min: 1, max: 20 })), (sent, cuts) => {
    const stream = Buffer.concat(sent.map(([value, body]) => encodeFrame({ value }, body)));
    const reader = new FrameReader<{ value: unknown }>(1e6);
    const received: [unknown, string][] = [];
    for (let at = 0; at < stream.length; ) {
      const size = cuts.next().value as number;
      for (const { header, body } of reader.push(stream.subarray(at, at + size)))
        received.push([header.value, body]);
      at += size;
    }
    expect(JSON.stringify(received)).toBe(JSON.stringify(sent));
  });
  fc.assert(property, cases(100));
});

test('a frame that claims to be larger than allowed is refused before it is read', () => {
  const prefix = Buffer.alloc(8, 0xff);
  expect(() => new FrameReader(1024).push(prefix)).toThrow('larger than 1024');
});
