import { describe, expect, test } from 'bun:test';
import { readSmtpUrl } from './smtp-server.ts';

const PLAIN = {
  host: 'mail.example',
  port: 587,
  secure: false,
  requireTls: false,
  ignoreTls: false,
  verify: true,
  login: null,
};
const LOGIN = { user: 'ada', pass: 'secret' };

describe('the URL of a mail server', () => {
  test.each([
    ['smtp://mail.example', PLAIN],
    ['smtp://mail.example:25/', { ...PLAIN, port: 25 }],
    ['smtps://mail.example', { ...PLAIN, port: 465, secure: true }],
    ['smtps://ada:secret@mail.example', { ...PLAIN, port: 465, secure: true, login: LOGIN }],
    ['smtp://ada:secret@mail.example', { ...PLAIN, requireTls: true, login: LOGIN }],
    ['smtp://ada:secret@mail.example?requireTLS=false', { ...PLAIN, login: LOGIN }],
    ['smtp://ada:secret@127.0.0.1', { ...PLAIN, host: '127.0.0.1', login: LOGIN }],
    ['smtp://ada:secret@[::1]:25', { ...PLAIN, host: '::1', port: 25, login: LOGIN }],
    ['smtp://a%40b:p%2Fw@localhost', { ...PLAIN, host: 'localhost', login: { user: 'a@b', pass: 'p/w' } }],
    ['smtp://mail.example?requireTLS=true', { ...PLAIN, requireTls: true }],
    ['smtp://mail.example?ignoreTLS=true', { ...PLAIN, ignoreTls: true }],
    ['smtp://mail.example?tls.rejectUnauthorized=false', { ...PLAIN, verify: false }],
  ])('%s is understood', (text, server) => {
    expect(readSmtpUrl(text)).toEqual(server);
  });

  test.each([
    'mail.example',
    'http://mail.example',
    'smtp:',
    'smtp://',
    'smtp://mail.example/path',
    'smtp://mail.example#part',
    'smtp://mail.example:0',
    'smtp://mail.example:70000',
    'smtp://ada@mail.example',
    'smtp://:secret@mail.example',
    'smtp://ada:100%@mail.example',
    'smtp://mail.example?requireTls=true',
    'smtp://mail.example?requireTLS=yes',
    'smtp://mail.example?requireTLS=true&requireTLS=false',
    'smtp://ada:secret@mail.example?ignoreTLS=true',
  ])('%s is refused with a fault that repeats nothing of it', (text) => {
    const fault = readSmtpUrl(text);
    expect(fault).toBeString();
    expect(fault).not.toMatch(/secret|ada|mail\.example/);
  });
});
