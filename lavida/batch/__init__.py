"""Answer one question about many pictures, once each, on one machine or several."""
