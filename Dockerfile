FROM python:3.11-slim

WORKDIR /app
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY . .
RUN python -m compileall -q agentops runs tools gateway policy
RUN useradd --system --home-dir /app agentops && install -d -o agentops /artifacts
USER agentops
