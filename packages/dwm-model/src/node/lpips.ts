/**
 * LPIPS from a folder that a user brings: torchvision's weights of a network and the published `lin` layers, as they
 * are downloaded. Nothing in them is executed.
 *
 *     vgg16-397923af.pth, alexnet-owt-7be5be79.pth or squeezenet1_1-b8a52dc0.pth   any name that starts so
 *     vgg.pth, alex.pth or squeeze.pth                                             of LPIPS v0.1
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Device, InvalidArgumentError, InvalidFileError } from '@dwm/core-tensor';
import { readTorchFile } from '@dwm/core-tensor/files';
import { fileProblem, readRegularFile } from '@dwm/core-tensor/node';
import { Lpips, type WeightFile } from '../metrics/lpips/lpips.ts';
import { LPIPS_NETWORKS, type LpipsNetwork } from '../metrics/lpips/networks.ts';

const BACKBONES = { vgg: 'vgg16', alex: 'alexnet', squeeze: 'squeezenet1_1' } as const;

async function readWeights(path: string): Promise<WeightFile> {
  const bytes = await readRegularFile(path).catch((error) => {
    throw new InvalidFileError(path, fileProblem(error));
  });
  if (bytes[0] !== 0x50 || bytes[1] !== 0x4b) {
    throw new InvalidFileError(
      path,
      "is not in torch's zip format (PyTorch before 1.6 wrote another); load it in Python with weights_only=True and torch.save it again",
    );
  }
  return { name: path, tensors: await readTorchFile({ name: path, bytes }) };
}

/**
 * Every network whose two files are in the folder.
 * @throws InvalidArgumentError for a folder with none; InvalidFileError for a damaged or foreign file.
 */
export async function loadLpips(device: Device, folder: string): Promise<Map<LpipsNetwork, Lpips>> {
  const names = await readdir(folder).catch(() => {
    throw new InvalidArgumentError('lpips', `no folder ${folder}`);
  });
  const loaded = new Map<LpipsNetwork, Lpips>();
  for (const network of LPIPS_NETWORKS) {
    const backbone = names.find((name) => name.startsWith(BACKBONES[network]) && name.endsWith('.pth'));
    if (!backbone || !names.includes(`${network}.pth`)) continue;
    const files = await Promise.all(
      [backbone, `${network}.pth`].map((name) => readWeights(join(folder, name))),
    );
    loaded.set(network, Lpips.load(device, network, files[0], files[1]));
  }
  if (loaded.size === 0) {
    throw new InvalidArgumentError(
      'lpips',
      `${folder} holds no network with its lin layers; expected e.g. alexnet-owt-7be5be79.pth and alex.pth`,
    );
  }
  return loaded;
}
