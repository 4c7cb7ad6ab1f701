/** A workspace's package.json as it is published: compiled JavaScript in place of TypeScript. */

/** The part of a package.json that is read here. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly exports?: Readonly<Record<string, string>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: unknown;
  readonly scripts?: unknown;
  readonly files?: readonly string[];
}

/** What tests share is not for users. */
const FOR_TESTS = /\/testing\.ts$/;

/** `manifest` without what only the repository needs; `./src/x.ts` is exported as `./dist/x.js` with its types. */
export function publishedManifest(manifest: Manifest): Record<string, unknown> {
  const { private: _, scripts, devDependencies, exports = {}, ...rest } = manifest;
  const published = Object.entries(exports).filter(([, source]) => !FOR_TESTS.test(source));
  return {
    ...rest,
    ...(manifest.exports && {
      exports: Object.fromEntries(published.map(([path, source]) => [path, compiled(source)])),
    }),
    files: manifest.files ?? ['dist', ...(manifest.bin ? ['bin'] : [])],
  };
}

function compiled(source: string): string | Record<string, string> {
  if (!source.endsWith('.ts')) return source;
  const dist = source.replace('./src/', './dist/').replace(/\.ts$/, '');
  return { types: `${dist}.d.ts`, default: `${dist}.js` };
}
