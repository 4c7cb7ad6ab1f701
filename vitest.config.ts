import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/*/{src,tests}/**/*.test.ts', 'apps/*/src/**/*.test.ts', 'bench/src/**/*.test.ts'],
    // Shader compilation on a CPU adapter takes a good part of a second.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Results must not depend on what was measured on this machine before.
    env: { DWM_TUNE: 'off' },
    // Two device-heavy files at a time already fill two cores.
    maxWorkers: 2,
  },
});
