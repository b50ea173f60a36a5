/** Where the page begins: the store is started once, and React draws what it holds. */
import { createRoot } from 'react-dom/client'
import { App } from './app.tsx'
import { startLook } from './state/look.ts'
import { naru } from './state/naru.ts'
import './style.css'

await startLook()
naru.start()
createRoot(document.getElementById('page') as HTMLElement).render(<App />)
