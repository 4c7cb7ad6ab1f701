import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['packages/*/{src,tests}/**/*.test.ts', 'apps/*/src/**/*.test.ts', 'bench/src/**/*.test.ts'],
    // Shader compilation on a CPU adapter takes a good part of a second.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Two device-heavy files at a time already fill two cores.
    maxWorkers: 2,
  },
});
