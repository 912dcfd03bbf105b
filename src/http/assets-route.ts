/** GET /assets/:name — the files of `public/` under hashed names. */
import { type Assets, assetCaching } from './assets.ts'
import { isKnown } from './document.ts'
import { notFound } from './refusal.ts'
import type { Route } from './route.ts'

/** The route. A name never changes its content, so it may be kept for ever. */
export const assetsRoute = (assets: Assets): Route => ({
  path: '/assets/:name',
  kind: 'asset',
  handlers: {
    GET: ctx => {
      const asset = assets.find(ctx.path)
      if (!asset) throw notFound()
      ctx.res.setHeader('Cache-Control', assetCaching)
      ctx.res.setHeader('ETag', asset.etag)
      if (isKnown(ctx.req.headers['if-none-match'], asset.etag)) {
        ctx.status = 304
        return
      }
      ctx.res.setHeader('Content-Type', asset.type)
      ctx.body = asset.body
    },
  },
})
