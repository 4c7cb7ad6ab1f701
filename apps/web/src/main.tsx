/** The page: the app where there is WebGPU, else what to use instead, with a recorded example. */
import { render } from 'solid-js/web';
import { App } from './app.tsx';
import { NoWebGpu } from './no-webgpu.tsx';
import './style.css';

async function hasWebGpu(): Promise<boolean> {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return adapter !== null && adapter !== undefined;
}

const root = document.getElementById('app')!;
const supported = await hasWebGpu();
render(() => (supported ? <App /> : <NoWebGpu />), root);
// A link that is pasted into the address of an open page loads nothing by itself.
addEventListener('hashchange', () => location.reload());
