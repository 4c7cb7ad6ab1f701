import { filesFolder } from '@dwm/core-tensor/files';
import { expect, test } from 'vitest';
import { modelFiles } from './model-files.ts';

const SHARDED = JSON.stringify({
  weight_map: { a: 'one.safetensors', b: 'two.safetensors', c: 'one.safetensors' },
});
const WHOLE = {
  'scheduler/scheduler_config.json': '{}',
  'transformer/config.json': '{}',
  'transformer/diffusion_pytorch_model.safetensors.index.json': SHARDED,
  'transformer/one.safetensors': '',
  'transformer/two.safetensors': '',
  'vae/config.json': '{}',
  'vae/diffusion_pytorch_model.safetensors': '',
};

function folder(files: Record<string, string>) {
  return filesFolder(
    Object.entries(files).map(([path, text]) => {
      const file = new File([text], path.split('/').at(-1)!);
      return Object.defineProperty(file, 'webkitRelativePath', { value: `model/${path}` });
    }),
  );
}

test('all files of a model, its shards once each', async () => {
  expect((await modelFiles(folder(WHOLE))).sort()).toEqual(Object.keys(WHOLE).sort());
});

test('every missing file is named, shards and tokenizer too', async () => {
  const { 'transformer/two.safetensors': _, 'scheduler/scheduler_config.json': __, ...rest } = WHOLE;
  await expect(modelFiles(folder({ ...rest, 'text_encoder/config.json': '{}' }))).rejects.toThrow(
    'model: 4 files of the model are missing: scheduler/scheduler_config.json, transformer/two.safetensors, ' +
      'text_encoder/model.safetensors, tokenizer/spiece.model or tokenizer/tokenizer.json; download',
  );
});
