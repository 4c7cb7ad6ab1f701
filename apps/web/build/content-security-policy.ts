/**
 * The built page's Content-Security-Policy, as a `<meta>` so that no server has to send it. A worker is not bound by
 * its page's `<meta>`, only by a header: the README gives the same line for servers that can send one.
 */
import type { Plugin } from 'vite';

const POLICY = [
  "default-src 'none'",
  // The physics engine and Draco are WebAssembly.
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self'",
  "img-src 'self' blob: data:",
  "media-src 'self' blob:",
  "font-src 'self'",
  "connect-src 'self' blob: data:",
  "worker-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

export function contentSecurityPolicy(): Plugin {
  return {
    name: 'content-security-policy',
    apply: 'build',
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY },
        injectTo: 'head-prepend',
      },
    ],
  };
}
