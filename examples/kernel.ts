/** A kernel on its own: a layer compiled for this device, its WGSL, its cost, its result and its gradient. */
import { compile, grad, linear, mean, silu, spec } from '@dwm/core-tensor';
import { openNodeDevice } from '@dwm/core-tensor/node';

const device = await openNodeDevice();
const shapes = { x: spec([8, 64]), w: spec([32, 64]), b: spec([32]) };

// Bias and SiLU become the matmul's epilogue: one dispatch.
const layer = await compile(device, shapes, ({ x, w, b }) => ({ y: silu(linear(x, w, b)) }));
for (const dispatch of layer.plan.dispatches) console.log(dispatch.wgsl);
console.log(layer.plan.cost);

const values = {
  x: Float32Array.from({ length: 8 * 64 }, (_, i) => Math.sin(i)),
  w: Float32Array.from({ length: 32 * 64 }, (_, i) => Math.cos(i) / 8),
  b: new Float32Array(32),
};
const { y } = await layer.run(values);
console.log('y', (await y.read()).slice(0, 4));

const backward = await compile(device, shapes, ({ x, w, b }) => {
  const loss = mean(silu(linear(x, w, b)), [0, 1]);
  const [dw] = grad(loss, [w]);
  return { loss, dw };
});
const { loss, dw } = await backward.run(values);
console.log('loss', await loss.read(), 'dloss/dw', (await dw.read()).slice(0, 4));
device.destroy();
