import { homedir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

// Mesa keeps compiled kernels here; commands that tests give another cache folder find them, too.
const MESA_SHADER_CACHE_DIR =
  process.env.MESA_SHADER_CACHE_DIR || process.env.XDG_CACHE_HOME || join(homedir(), '.cache');

export default defineConfig({
  test: {
    include: ['packages/*/{src,tests}/**/*.test.ts', 'apps/*/src/**/*.test.ts', 'bench/src/**/*.test.ts'],
    // Shader compilation on a CPU adapter takes a good part of a second.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Results must not depend on what was measured on this machine before.
    env: { DWM_TUNE: 'off', MESA_SHADER_CACHE_DIR },
    // Two device-heavy files at a time already fill two cores.
    maxWorkers: 2,
  },
});
