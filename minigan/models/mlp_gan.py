"""mlp"""
class MLPGAN: pass
