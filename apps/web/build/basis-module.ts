/** Makes a module of Basis Universal's transcoder, whose script leaves its function in a variable. */
import type { Plugin } from 'vite';

export function basisModule(): Plugin {
  return {
    name: 'basis-module',
    transform: (code, id) =>
      /basis_transcoder\.js(\?|$)/.test(id) && !id.includes('?url')
        ? { code: `${code}\nexport default BASIS;`, map: null }
        : undefined,
  };
}
