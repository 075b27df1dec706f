"""What people use today: one cached pydantic model served by FastAPI on uvicorn (uvloop, httptools, no access log)."""
import sys
import time
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Ticker(BaseModel):
    exchange: str
    symbol: str
    bid: float
    ask: float
    last: float
    timestamp: int
    raw: dict[str, Any]


app = FastAPI()
RAW = {f"field{i}": "42505.00000000" for i in range(21)}
CACHE = {
    ("binance", "BTC/USDT"): Ticker(
        exchange="binance", symbol="BTC/USDT", bid=42500.0, ask=42510.0, last=42505.0,
        timestamp=int(time.time() * 1000), raw=RAW,
    )
}


@app.get("/v1/markets/ticker", response_model=Ticker)
async def ticker(exchange: str, symbol: str) -> Ticker:
    return CACHE[(exchange, symbol)]


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="error")
