import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { configReference } from '../../src/cli/config-reference.ts'
import { settingEntries } from '../../src/config/settings.ts'

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')

describe('docs/configuration.md', () => {
  it('says what the settings are now: lintel config schema --markdown > docs/configuration.md', () => {
    expect(page).toBe(configReference())
  })

  it('has every setting, with a name for every section', () => {
    for (const { env, file } of settingEntries) expect(page).toContain(`\`${env}\`<br>\`${file}\``)
    expect(page).not.toMatch(/^## [a-z]/m)
  })

  it('gives examples that the settings take', () => {
    for (const { env, setting } of settingEntries) {
      if (setting.secret && setting.example.startsWith('/')) continue
      const { error } = setting.schema.safeParse(setting.example)
      expect(error?.issues, env).toBeUndefined()
    }
  })
})
