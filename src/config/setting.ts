/** One setting: how it is read, and what is said of it. */
import type { z } from 'zod'

export type Setting<T> = {
  schema: z.ZodType<T>
  about: string
  secret: boolean
  form: string
  /** A value as the environment holds it. */
  example: string
}

type Words = [form: string, about: string, example: string]

/** A setting that may be shown. */
export const setting = <T>(schema: z.ZodType<T>, ...[form, about, example]: Words): Setting<T> => ({
  schema,
  form,
  about,
  example,
  secret: false,
})

/** One that may not, and may come from a file of its own. */
export const secretSetting = <T>(schema: z.ZodType<T>, ...words: Words): Setting<T> => ({
  ...setting(schema, ...words),
  secret: true,
})
