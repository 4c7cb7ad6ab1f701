/**
 * The exact bytes of a picture in a browser. A 2D canvas keeps colours multiplied by alpha and cannot give them back; a WebGL texture takes them as
 * they are.
 */
import type { EncodedImage, Pixels } from '../scene/scene.ts';

/** @throws what the browser's decoder throws, and an Error where there is no WebGL 2 or the picture is larger than a texture. */
export async function decodeExactly({ bytes, mimeType }: EncodedImage): Promise<Pixels> {
  const bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>], { type: mimeType }), {
    premultiplyAlpha: 'none',
    colorSpaceConversion: 'none',
  });
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  try {
    if (!gl) throw new Error('this browser has no WebGL 2, which reading a SOG takes');
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
    gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
    gl.framebufferTexture2D(
      gl.FRAMEBUFFER,
      gl.COLOR_ATTACHMENT0,
      gl.TEXTURE_2D,
      gl.getParameter(gl.TEXTURE_BINDING_2D),
      0,
    );
    if (gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE)
      throw new Error(`a picture of ${width}x${height} pixels is more than a texture holds`);
    const data = new Uint8Array(width * height * 4);
    gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, data);
    return { width, height, data };
  } finally {
    bitmap.close();
    gl?.getExtension('WEBGL_lose_context')?.loseContext();
  }
}
