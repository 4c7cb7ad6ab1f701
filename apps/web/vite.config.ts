/**
 * A static folder that any file server can host, below any path: all addresses are relative. The page's policy
 * allows its own origin only; the default model is served beside it.
 */
import { defineConfig } from 'vite';
import solid from 'vite-plugin-solid';
import { basisModule } from './build/basis-module.ts';
import { builtInBytes, builtInModels } from './build/built-in-models.ts';
import { contentSecurityPolicy } from './build/content-security-policy.ts';
import { offline } from './build/offline.ts';
import { previewCards } from './build/preview-cards.ts';

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  define: { BUILT_IN_BYTES: JSON.stringify(await builtInBytes()) },
  plugins: [basisModule(), solid(), builtInModels(), offline(), contentSecurityPolicy(), previewCards()],
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
