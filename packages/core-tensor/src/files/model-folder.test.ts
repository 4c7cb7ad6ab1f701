import { describe, expect, it } from 'vitest';
import { filesFolder, staysInside } from './model-folder.ts';

describe('staysInside', () => {
  it.each(['config.json', 'vae/config.json', '..a/b..', 'a b/c#d', '.hidden'])('takes %j', (path) => {
    expect(staysInside(path)).toBe(true);
  });
  it.each(['', '/etc/passwd', '..', 'a/../b', './a', 'a//b', 'a/', 'a\\b', 'C:/x', 'a\0b'])(
    'refuses %j',
    (path) => {
      expect(staysInside(path)).toBe(false);
    },
  );
});

describe('filesFolder', () => {
  it('takes a plain multiple choice by file name', async () => {
    const folder = filesFolder([new File(['{}'], 'config.json')]);
    const source = await folder.open('config.json');
    expect(source.name).toBe('chosen files/config.json');
    expect(new TextDecoder().decode(await source.read(0, 2))).toBe('{}');
    expect(await folder.exists('other.json')).toBe(false);
    await expect(folder.open('other.json')).rejects.toThrow(
      'chosen files/other.json: not among the chosen files',
    );
    await expect(folder.open('../config.json')).rejects.toThrow('is not a path inside this folder');
  });

  it('refuses an empty choice', () => {
    expect(() => filesFolder([])).toThrow('files: no files chosen; choose a model folder');
  });
});
