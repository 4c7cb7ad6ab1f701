/**
 * A static folder that any file server can host, below any path: all addresses are relative. The page's policy
 * allows its own origin only; the default model is served beside it.
 */
import { defineConfig } from 'vite';
import solid from 'vite-plugin-solid';
import { basisModule } from './build/basis-module.ts';
import { contentSecurityPolicy } from './build/content-security-policy.ts';
import { defaultModel } from './build/default-model.ts';
import { offline } from './build/offline.ts';

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [basisModule(), solid(), defaultModel(), offline(), contentSecurityPolicy()],
  // `basisModule` is to see it as it is.
  optimizeDeps: { exclude: ['three'] },
  worker: { format: 'es', plugins: () => [basisModule()] },
  build: {
    target: 'es2024',
    // Weights and codecs are files of their own, never part of a script.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 3000,
    modulePreload: { polyfill: false },
  },
});
